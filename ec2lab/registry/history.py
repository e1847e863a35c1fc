"""What happened, folded from the registry's records: launches, errors, instances, volumes, snapshots. Pure.

`state.py` computes what lives. Each timeline is computed when it is first asked for, from the records in one order,
whatever order they were read in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from ec2lab.aws.error_codes import ApiError
from ec2lab.registry.evidence import token_of
from ec2lab.registry.instance_timeline import InstanceTimeline, InstanceTimelines, market_of
from ec2lab.registry.looks import Looks
from ec2lab.registry.record import EXITED, FAILED, LAUNCHED, NOT_REACHED, PULLS, RUN, Event, Record, parse_time
from ec2lab.registry.recorder import changes_something
from ec2lab.registry.storage_timeline import SnapshotTimeline, SnapshotTimelines, VolumeTimeline, VolumeTimelines

LAUNCH_OPERATIONS = ("RunInstances", "StartInstances")
"""What capacity may refuse."""
TEARDOWN = "teardown"
"""The script whose records say that an experiment is being torn down."""


def in_order(records: Iterable[Record]) -> list[Record]:
    """Return records by their time, each writer's in the order in which it wrote them, whoever's came first."""
    latest: dict[str, datetime] = {}
    keyed = []
    for number, record in enumerate(records):
        writer = record.actor or ""
        latest[writer] = max(parse_time(record.time), latest.get(writer, datetime.min.replace(tzinfo=UTC)))
        keyed.append((latest[writer], writer, number, record))
    return [record for *_, record in sorted(keyed, key=lambda one: one[:3])]


@dataclass(frozen=True, slots=True)
class LaunchError:
    """By what AWS refused to make or start an instance."""

    id: str
    """The record's."""
    at: str
    """RFC 3339."""
    experiment: str
    region: str
    zone: str
    type: str
    market: str
    instances: tuple[str, ...]
    """Which were to be started; none where one was to be made."""
    error: ApiError

    @property
    def time(self) -> datetime:
        """When."""
        return parse_time(self.at)


@dataclass(slots=True)
class ExperimentHistory:
    """What was launched under one name, and what came of it."""

    run: Mapping[str, Any] | None = None
    """What its last launch was to run."""
    ran: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None
    """What its last launch that ended well ran, and its annotation; one that failed since ran nothing."""
    launched: Sequence[str] | None = None
    """The instances of its last launch that ended well."""
    interrupted: bool = False
    """Whether its last launch began and never came to its end."""
    failed: bool = False
    """Whether its last launch failed, or was refused."""
    torn_down: bool = False
    """Whether somebody has begun to tear it down since it was last launched."""
    exit_code: int | None = None
    """How the command of its last launch ended."""
    pulls: str | None = None
    """What its last launch was to pull; None where it was an experiment's."""

    @property
    def is_launched(self) -> bool:
        """Whether its last launch ended well."""
        return self.launched is not None and not self.interrupted and not self.failed

    def add(self, record: Record) -> None:
        """Take the next record in."""
        if record.operation == "RunInstances" and record.event is Event.INTENT:
            self.interrupted |= not (record.request or {}).get("DryRun")  # a plan launches nothing
        self.torn_down |= record.script == TEARDOWN
        if record.annotation:
            self._add_note(record.annotation)

    def _add_note(self, note: Mapping[str, Any]) -> None:
        if RUN in note:
            # What nodes need for themselves is made before the first instance is asked for.
            self.run, self.interrupted, self.exit_code = note[RUN], True, None
        if FAILED in note:
            self.failed = True
        if LAUNCHED in note:
            self.failed = False
            self.launched, self.interrupted, self.torn_down, self.exit_code = note[LAUNCHED], False, False, None
            self.ran = self.ran if self.run is None else (self.run, note)
        if EXITED in note:
            self.exit_code = int(note[EXITED]["exit_code"])
        self.pulls = note.get(PULLS, None if RUN in note else self.pulls)


class History:
    """What records tell of the past."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = in_order(records)

    @cached_property
    def experiments(self) -> Mapping[str, ExperimentHistory]:
        """By name, what was launched under it."""
        found: dict[str, ExperimentHistory] = {}
        for record in self.records:
            if record.experiment:
                found.setdefault(record.experiment, ExperimentHistory()).add(record)
        return found

    def of(self, experiment: str) -> ExperimentHistory:
        """Return what was launched under a name, which may be nothing."""
        return self.experiments.get(experiment) or ExperimentHistory()

    def base(self, experiment: str) -> str:
        """Return the name of the file that an experiment was launched from: a sweep's trials all have the sweep's."""
        return str((self.of(experiment).run or {}).get("from", experiment))

    @cached_property
    def errors(self) -> Sequence[LaunchError]:
        """Each refusal to make or start an instance."""
        return [error for record in self.records if (error := launch_error_in(record))]

    @cached_property
    def requests(self) -> Mapping[str, Record]:
        """By its token, each intent to make instances."""
        intents = (r for r in self.records if r.operation == "RunInstances" and r.event is Event.INTENT)
        return {token_of(intent): intent for intent in intents}

    @cached_property
    def instances(self) -> Mapping[str, InstanceTimeline]:
        """By its id, each instance."""
        return InstanceTimelines(self.records, self.requests, self.looks).known

    @cached_property
    def snapshots(self) -> Mapping[str, SnapshotTimeline]:
        """By its id, each snapshot that was made or described."""
        return SnapshotTimelines(self.records, self.looks).known

    @cached_property
    def looks(self) -> Looks:
        """What AWS, asked for it, did not show any more."""
        return Looks(self.records)

    @cached_property
    def _volumes(self) -> VolumeTimelines:
        return VolumeTimelines(self.records, self.requests, self.snapshots, self.looks)

    def volumes(self, now: datetime) -> Sequence[VolumeTimeline]:
        """Return each volume, where instances end by themselves until now and take theirs with them."""
        return list(self._volumes.of(instance.as_of(now) for instance in self.instances.values()))


def launch_error_in(record: Record) -> LaunchError | None:
    """Return by what AWS refused to make or start an instance; None where a record tells of none, or of a dry run's."""
    request, error = record.request or {}, record.error or {}
    if record.event is not Event.ERROR or record.operation not in LAUNCH_OPERATIONS or request.get("DryRun"):
        return None
    return LaunchError(
        id=record.id, at=record.time, experiment=record.experiment or "", region=record.region or "",
        zone=str(request.get("Placement", {}).get("AvailabilityZone", "")),
        type=str(request.get("InstanceType", "")), market=market_of(request),
        instances=tuple(request.get("InstanceIds", ())) if record.operation == "StartInstances" else (),
        error=ApiError(str(error.get("code")), str(error.get("message")), error.get("http_status")),
    )  # fmt: skip


def told(records: Sequence[Record]) -> list[Record]:
    """Return decisions, the outcomes of calls that change something, and intents without one."""
    closed = {record.parent_id for record in records if record.parent_id}
    return [
        record
        for record in records
        if record.event is not Event.REPEATED
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
        case Event.ANNOTATION:
            note = record.annotation or {}
            return str(note.get(FAILED) or note.get(NOT_REACHED, ""))
    return "done"
