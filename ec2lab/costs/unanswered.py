"""Requests for instances whose response is lost: what they cost if they were carried out, until it is known. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ec2lab.costs.charges import CostPeriod
from ec2lab.registry.evidence import token_of, wanted_by
from ec2lab.registry.record import Event, Record
from ec2lab.registry.state import holdings
from ec2lab.resource import UNKNOWN_ID, ResourceType


def as_if_answered(records: Iterable[Record], kinds: Mapping[str, ResourceType]) -> list[Record]:
    """Return the responses that would be on record had every request of unknown outcome been carried out in full.

    Tries with one ClientToken are one request. On spot an instance costs no more than on demand, unless a higher price
    was offered (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-requests.html), and the zone is not known that
    its price depends on.
    """
    open_intents = [one for one in holdings(records, kinds).unsettled if one.operation == "RunInstances"]
    first = {token_of(intent): intent for intent in reversed(open_intents)}
    return [_answer(intent) for intent in first.values()]


def _answer(intent: Record) -> Record:
    request: dict[str, Any] = {k: v for k, v in (intent.request or {}).items() if k != "InstanceMarketOptions"}
    made = [{"InstanceId": f"{UNKNOWN_ID}{token_of(intent)}-{number}"} for number in range(wanted_by(intent))]
    return replace(intent, event=Event.RESPONSE, parent_id=intent.id, request=request, response={"Instances": made})


def is_of_unanswered(span: CostPeriod) -> bool:
    """Say whether a span is of what was perhaps made."""
    return (span.parent_id or span.id).startswith(UNKNOWN_ID)
