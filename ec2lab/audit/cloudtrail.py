"""Who created a resource, whatever its tags say: CloudTrail remembers for 90 days, where it may be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from ec2lab.audit.audit import DELETABLE, Finding, Verdict
from ec2lab.events import Unavailable
from ec2lab.progress import working
from ec2lab.resource import GLOBAL
from ec2lab.session import Session

MAKERS = "who made it"
MOST = 50
"""How many are looked up, most expensive first: CloudTrail takes two requests a second and region
(https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html)."""


@working("asking CloudTrail who created what")
def with_owners(session: Session, found: Sequence[Finding]) -> tuple[list[Finding], list[Unavailable]]:
    """Return findings with their creators, and what CloudTrail did not tell."""
    nameless = [f for f in found if f.verdict in DELETABLE or (not f.by and f.verdict is not Verdict.STALE_RECORD)][
        :MOST
    ]
    regions = {finding.resource.region for finding in nameless} - {GLOBAL}
    makers: dict[str, str] = {}
    responses = session.queries.run({
        (region, MAKERS): partial(_ask, session, region, [f for f in nameless if f.resource.region == region], makers)
        for region in sorted(regions)
    })  # fmt: skip
    named = [replace(f, owner=makers.get(f.resource.id, "")) for f in found]
    return named, [Unavailable(what=MAKERS, region=region, reason=why) for region, why in responses.unseen.items()]


def _ask(session: Session, region: str, wanted: Iterable[Finding], makers: dict[str, str]) -> None:
    """Look up one after the other; botocore slows down where that is too fast."""
    trail = session.cloud.client("cloudtrail", region)
    for finding in wanted:
        creating = session.resource_types[finding.resource.resource_type].created_by
        by_name = [{"AttributeKey": "ResourceName", "AttributeValue": finding.resource.id}]
        events = trail.lookup_events(LookupAttributes=by_name, MaxResults=50)["Events"]
        named = [event.get("Username", "") for event in events if event.get("EventName") in creating]
        if named:
            makers[finding.resource.id] = named[0]
