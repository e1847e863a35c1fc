"""What an experiment's records tell whoever watches it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from scripts.core.lab.values import duration
from scripts.core.registry.machine_records import market_in, refusal_in
from scripts.core.registry.record import Record
from scripts.core.registry.resuming import LAUNCHED, RUN
from scripts.core.runs.ending import ENDED
from scripts.core.watch.watch_event import Refused


def ttl_in(records: list[Record]) -> timedelta | None:
    """Return the time to live of the last run on record."""
    run = next((record.note[RUN] for record in reversed(records) if record.note and RUN in record.note), None)
    written = run["experiment"].get("ttl") if run else None
    found: timedelta | None = duration(written) if written else None
    return found


def refusals_in(records: Iterable[Record]) -> list[Record]:
    """Return the records by which AWS refused to make or start a machine, dry runs left out."""
    return [record for record in records if refusal_in(record)]


def was_torn_down(records: Sequence[Record]) -> bool:
    """Say whether somebody has begun to take an experiment down since it was last launched."""
    for record in reversed(records):
        if record.note and LAUNCHED in record.note:
            return False
        if record.script == "teardown":
            return True
    return False


def ended_in(records: Sequence[Record]) -> int | None:
    """Return the exit code on record of the last launch's command; None where there is none."""
    for record in reversed(records):
        if record.note and LAUNCHED in record.note:
            return None
        if record.note and ENDED in record.note:
            return int(record.note[ENDED]["exit_code"])
    return None


def refused_in(name: str, record: Record) -> Refused:
    """Return what such a record tells. Raises ValueError where it tells of no refusal."""
    refusal, request = refusal_in(record), record.request or {}
    if refusal is None:
        raise ValueError(record)
    wanted = f"{request.get('InstanceType')}  {market_in(request)}"
    if record.operation == "StartInstances":
        wanted = " ".join(request.get("InstanceIds", ()))
    return Refused(
        experiment=name, at=record.time, region=str(record.region), code=refusal.code, message=refusal.message,
        wanted=wanted, meaning=refusal.category.value,
    )  # fmt: skip
