"""What of an experiment's records a person wants to see. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.core.registry.record import Event, Record
from scripts.core.registry.recorder import changes_something


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
            return ""
    return "done"
