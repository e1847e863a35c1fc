"""What calls about machines tell, as records hold them: the market asked for, refusals, descriptions. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ec2lab.aws.error_codes import ApiError
from ec2lab.registry.record import Event, Record
from ec2lab.registry.recorder import changes_something

FAILED = "failed"
"""The note by which a launch says why it failed, or was refused before AWS was asked for anything."""
LAUNCH_OPERATIONS = ("RunInstances", "StartInstances")
"""What capacity may refuse."""
TRANSITION = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")
"""In StateTransitionReason, `User initiated (2026-11-24 10:00:00 GMT)`: when it was stopped or terminated
(https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html)."""


def market_of(request: Mapping[str, Any]) -> str:
    """Return the market that a request for machines names."""
    return str(request.get("InstanceMarketOptions", {}).get("MarketType", "on-demand"))


def launch_error_in(record: Record) -> ApiError | None:
    """Return by what AWS refused to make or start a machine; None where a record tells of none, or of a dry run's."""
    asked = record.operation in LAUNCH_OPERATIONS and not (record.request or {}).get("DryRun")
    if record.event is not Event.ERROR or not asked:
        return None
    error = record.error or {}
    return ApiError(str(error.get("code")), str(error.get("message")), error.get("http_status"))


def instances_in(response: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Return the machines of a DescribeInstances answer."""
    for reservation in response.get("Reservations", ()):
        yield from reservation["Instances"]


def transition_time(found: Mapping[str, Any]) -> datetime | None:
    """Return when AWS says that a described machine was stopped or ended; None where it tells no time."""
    told = TRANSITION.search(str(found.get("StateTransitionReason", "")))
    return datetime.fromisoformat(told[1]).replace(tzinfo=UTC) if told else None


def told(records: Sequence[Record]) -> list[Record]:
    """Return decisions, the outcomes of calls that change something, and intents without one."""
    closed = {record.of for record in records if record.of}
    return [
        record
        for record in records
        if record.event is not Event.REPEAT
        and (record.operation is None or changes_something(record.operation))
        and not (record.event is Event.INTENT and record.id in closed)
    ]


def outcome(record: Record) -> str:
    """Return what came of it, in a few words."""
    match record.event:
        case Event.INTENT:
            return "no answer is on record"
        case Event.ERROR:
            return str((record.error or {}).get("code"))
        case Event.NOTE:
            return str((record.note or {}).get(FAILED, ""))
    return "done"
