"""Who made a thing, whatever its tags say: CloudTrail remembers for 90 days, where it may be asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from scripts.core.account.audit import DELETABLE, Finding, Verdict
from scripts.core.kind import GLOBAL
from scripts.core.session import Session

MOST = 50
"""How many are asked for, the dearest first: CloudTrail takes two questions a second and region
(https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html)."""


def with_owners(session: Session, found: Sequence[Finding]) -> list[Finding]:
    """Return findings with the names of those who made them; what CloudTrail does not tell stays unknown."""
    nameless = [f for f in found if f.verdict in DELETABLE or (not f.by and f.verdict is not Verdict.GHOST)][:MOST]
    regions = {finding.resource.region for finding in nameless} - {GLOBAL}
    asked = [
        session.threads.submit(_makers, session, region, [f for f in nameless if f.resource.region == region])
        for region in sorted(regions)
    ]
    makers = {identity: maker for answer in asked for identity, maker in answer.result().items()}
    return [replace(f, owner=makers.get(f.resource.id, "")) for f in found]


def _makers(session: Session, region: str, wanted: Iterable[Finding]) -> dict[str, str]:
    """Ask one after the other; botocore slows down where that is too fast."""
    trail = session.cloud.client("cloudtrail", region)
    makers: dict[str, str] = {}
    for finding in wanted:
        creating = session.kinds[finding.resource.kind].created_by
        by_name = [{"AttributeKey": "ResourceName", "AttributeValue": finding.resource.id}]
        try:
            events = trail.lookup_events(LookupAttributes=by_name, MaxResults=50)["Events"]
        except (ClientError, BotoCoreError, ResponseParserError):
            return makers  # not allowed, or not there: an audit is worth having without it
        named = [event.get("Username", "") for event in events if event.get("EventName") in creating]
        if named:
            makers[finding.resource.id] = named[0]
    return makers
