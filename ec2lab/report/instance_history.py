"""What became of every machine that the registry knows, and every refusal on the way. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ec2lab.aws.error_codes import CATEGORIES, REGION_OUT, ApiError, ErrorCategory
from ec2lab.costs.charges import Span
from ec2lab.instance_state import DOWN
from ec2lab.registry.history import instances_in, launch_error_in, market_of, transition_time
from ec2lab.registry.launch_notes import RUN
from ec2lab.registry.record import Event, Record, parse_time
from ec2lab.registry.state import FOUND, GONE
from ec2lab.resources.base import Kind, Resource

MACHINE = "instance"
USER_SHUTDOWN = "Client.UserInitiatedShutdown"
"""AWS's word for a machine that a call ended
(https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html)."""


Run = tuple[datetime, datetime | None]
"""From when to when; None: it runs on."""


@dataclass(slots=True)
class Life:
    """One machine, from its making to its end."""

    machine: Resource
    experiment: str
    by: str
    """Who asked for it: user@host."""
    began: datetime
    ended: datetime | None = None
    fate: str = ""
    """How it ended, in AWS's or the lab's word; empty while it lives."""
    stopped: bool = False
    """Whether it was, when last heard of."""
    runs: list[Run] = field(default_factory=list)
    """When it ran; between them it was stopped."""


@dataclass(frozen=True, slots=True)
class Refused:
    """One answer that was not a machine."""

    time: datetime
    experiment: str
    region: str
    zone: str
    type: str
    market: str
    refusal: ApiError


@dataclass(slots=True)
class History:
    """All machines and refusals that are on record, and which experiment each variation is of."""

    lives: list[Life] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    base_of: dict[str, str] = field(default_factory=dict)
    """By experiment, the one whose file it came from: a sweep's variations all have the sweep's."""

    def base(self, experiment: str) -> str:
        """Return the name that an experiment is shown under."""
        return self.base_of.get(experiment, experiment)


def past(records: Iterable[Record], kind: Kind, spans: Iterable[Span]) -> History:
    """Fold records, the oldest first, into what became of each machine; `kind` is that of machines.

    When each ran is what it is paid for by `spans`: a chart that says otherwise than the bill would be wrong.
    """
    found, open_lives = History(), dict[str, Life]()
    for record in records:
        for life in _born(record, kind):
            found.lives.append(life)
            open_lives[life.machine.id] = life
        if refused := _refused(record):
            found.refused.append(refused)
        for identity, ended, fate in _ends(record, kind):
            if life_over := open_lives.pop(identity, None):
                life_over.ended, life_over.fate = max(ended, life_over.began), fate
                found.refused += _late_failure(life_over, record)
        _note_stops(record, open_lives)
        if base := ((record.note or {}).get(RUN) or {}).get("from"):
            found.base_of[record.experiment or ""] = str(base)
    _note_runs(found.lives, spans)
    return found


def _born(record: Record, kind: Kind) -> Iterator[Life]:
    noted = [told for told in (record.note or {}).get(FOUND, ()) if told["kind"] == MACHINE]
    machines = [*kind.born_in(record), *(Resource(experiment=record.experiment, **told) for told in noted)]
    for machine in machines:
        experiment = machine.experiment or record.experiment or ""
        yield Life(machine, experiment, record.by, parse_time(machine.since or record.time))


def _refused(record: Record) -> Refused | None:
    refusal, request = launch_error_in(record), record.request or {}
    if refusal is None:
        return None
    return Refused(
        time=parse_time(record.time), experiment=record.experiment or "", region=record.region or "",
        zone=str(request.get("Placement", {}).get("AvailabilityZone", "")),
        type=str(request.get("InstanceType", "")), market=market_of(request), refusal=refusal,
    )  # fmt: skip


def _ends(record: Record, kind: Kind) -> Iterator[tuple[str, datetime, str]]:
    """Return the ids of machines that a record says are over, since when, and how."""
    now = parse_time(record.time)
    if record.operation == "DescribeInstances":
        for told in instances_in(record.response or {}):
            if kind.is_deleted(told):
                yield kind.id_in(told), transition_time(told) or now, _reason(told) or "ended"
        return
    for identity in kind.ended_by(record):
        yield identity, now, "taken down"
    for identity in (record.note or {}).get(GONE, ()):
        yield identity, now, "gone when the lab looked"


def _reason(told: Mapping[str, Any]) -> str:
    code = str(told.get("StateReason", {}).get("Code", ""))
    return "taken down" if code == USER_SHUTDOWN else code


REFUSED_LATE = {ErrorCategory.INSUFFICIENT_CAPACITY, ErrorCategory.COMPUTE_QUOTA, *REGION_OUT}


def _late_failure(life: Life, record: Record) -> Iterator[Refused]:
    """Return the refusal that a machine's death was: it was made, and died for lack of capacity or quota."""
    code = life.fate.removeprefix("Server.").removeprefix("Client.")
    if CATEGORIES.get(code) in REFUSED_LATE:
        details = life.machine.details
        yield Refused(
            parse_time(record.time), life.experiment, life.machine.region, details.get("zone", ""),
            details.get("type", ""), details.get("market", "on-demand"), ApiError(life.fate, "", late=True),
        )  # fmt: skip


def _note_stops(record: Record, open_lives: Mapping[str, Life]) -> None:
    if record.event is not Event.ANSWER:
        return
    if record.operation in ("StopInstances", "StartInstances"):
        for identity in (record.request or {}).get("InstanceIds", ()):
            if life := open_lives.get(identity):
                life.stopped = record.operation == "StopInstances"
    if record.operation == "DescribeInstances":
        for told in instances_in(record.response or {}):
            if life := open_lives.get(told["InstanceId"]):
                life.stopped = told["State"]["Name"] in DOWN


def _note_runs(lives: Iterable[Life], spans: Iterable[Span]) -> None:
    """Give each machine its runs; one that AWS ended by itself, unseen so far, ended with the last of them."""
    runs: dict[str, list[Run]] = defaultdict(list)
    for span in spans:
        if span.kind == MACHINE:
            runs[span.id].append((span.began, span.ended))
    for life in lives:
        life.runs = sorted(runs.get(life.machine.id, ()), key=lambda run: run[0]) or [(life.began, life.ended)]
        last = life.runs[-1][1]
        if life.ended is None and last and not life.stopped:
            life.ended, life.fate = last, "its time to live was over"
        elif life.ended and last and last < life.ended and not life.stopped:
            life.ended = last
