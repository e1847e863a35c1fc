"""What happened, computed from the registry's records: launches, errors, instances, volumes, snapshots. Pure.

`state.py` computes what is live. Each timeline is computed on first use, from the records in one order, whatever order
they were read in.
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
from ec2lab.registry.record import (
    CONTAINERS,
    EXITED,
    FAILED,
    LAUNCHED,
    NOT_REACHED,
    PROVENANCE,
    PULLS,
    RESUMES,
    RUN,
    Event,
    Record,
    parse_time,
)
from ec2lab.registry.recorder import changes_something
from ec2lab.registry.sightings import Sightings
from ec2lab.registry.storage_timeline import SnapshotTimeline, SnapshotTimelines, VolumeTimeline, VolumeTimelines

LAUNCH_OPERATIONS = ("RunInstances", "StartInstances")  # operations that may fail for insufficient capacity
TEARDOWN = "teardown"  # the script whose records show that a teardown has started


def in_order(records: Iterable[Record]) -> list[Record]:
    """Return records by time, each writer's in the order of writing, independent of the input's order."""
    latest: dict[str, datetime] = {}
    keyed = []
    for number, record in enumerate(records):
        writer = record.actor or ""
        latest[writer] = max(parse_time(record.time), latest.get(writer, datetime.min.replace(tzinfo=UTC)))
        keyed.append((latest[writer], writer, number, record))
    return [record for *_, record in sorted(keyed, key=lambda one: one[:3])]


@dataclass(frozen=True, slots=True)
class LaunchError:
    """AWS's error in response to a request to create or start an instance."""

    id: str
    at: str  # its time, RFC 3339
    experiment: str
    region: str
    zone: str
    type: str
    market: str
    instances: tuple[str, ...]  # the instances to start; empty if one was to be created
    error: ApiError

    @property
    def time(self) -> datetime:
        return parse_time(self.at)


@dataclass(slots=True)
class ExperimentHistory:
    """What was launched under one name, and its outcome."""

    run: Mapping[str, Any] | None = None
    ran: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None
    """The run of its last successful launch, and its annotation."""
    launched: Sequence[str] | None = None
    interrupted: bool = False
    failed: bool = False
    torn_down: bool = False  # whether a teardown has started since its last launch
    containers: Sequence[str] = ()
    """The digests of the container image that its last successful launch pulled, as far as they were reported."""
    exit_code: int | None = None
    pulls: str | None = None  # what its last launch was to download; None for a launch of an experiment

    @property
    def is_launched(self) -> bool:
        return self.launched is not None and not self.interrupted and not self.failed

    def add(self, record: Record) -> None:
        if record.operation == "RunInstances" and record.event is Event.INTENT:
            self.interrupted |= not (record.request or {}).get("DryRun")  # a plan launches nothing
        self.torn_down |= record.script == TEARDOWN
        if record.annotation:
            self._add_note(record.annotation)

    def _add_note(self, note: Mapping[str, Any]) -> None:
        if RUN in note:
            # The groups of nodes are created before their instances are requested.
            self.run, self.interrupted, self.exit_code = note[RUN], True, None
        if FAILED in note:
            self.failed = True
        if LAUNCHED in note:
            self.failed = False
            self.launched, self.interrupted, self.torn_down, self.exit_code = note[LAUNCHED], False, False, None
            self.ran, self.containers = self.ran if self.run is None else (self.run, note), ()
        if CONTAINERS in note:
            self.containers = note[CONTAINERS]
        if EXITED in note:
            self.exit_code = int(note[EXITED]["exit_code"])
        self.pulls = note.get(PULLS, None if RUN in note else self.pulls)


class History:
    """What the records show about the past."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = in_order(records)

    @cached_property
    def experiments(self) -> Mapping[str, ExperimentHistory]:
        found: dict[str, ExperimentHistory] = {}
        for record in self.records:
            if record.experiment:
                found.setdefault(record.experiment, ExperimentHistory()).add(record)
        return found

    def of(self, experiment: str) -> ExperimentHistory:
        return self.experiments.get(experiment) or ExperimentHistory()

    def base(self, experiment: str) -> str:
        """Return the experiment whose file another was launched from; all trials of a sweep share one."""
        return str((self.of(experiment).run or {}).get("from", experiment))

    @cached_property
    def errors(self) -> Sequence[LaunchError]:
        return [error for record in self.records if (error := _launch_error_in(record))]

    @cached_property
    def requests(self) -> Mapping[str, Record]:
        """By token, the intents to create instances."""
        intents = (r for r in self.records if r.operation == "RunInstances" and r.event is Event.INTENT)
        return {token_of(intent): intent for intent in intents}

    @cached_property
    def instances(self) -> Mapping[str, InstanceTimeline]:
        return InstanceTimelines(self.records, self.requests, self.sightings).known

    @cached_property
    def snapshots(self) -> Mapping[str, SnapshotTimeline]:
        return SnapshotTimelines(self.records, self.sightings).known

    @cached_property
    def sightings(self) -> Sightings:
        """What AWS no longer showed when it was queried."""
        return Sightings(self.records)

    @cached_property
    def _volumes(self) -> VolumeTimelines:
        return VolumeTimelines(self.records, self.requests, self.snapshots, self.sightings)

    def volumes(self, now: datetime) -> Sequence[VolumeTimeline]:
        """Return all volumes. Instances that expire by `now` delete theirs."""
        return list(self._volumes.of(instance.as_of(now) for instance in self.instances.values()))


def _launch_error_in(record: Record) -> LaunchError | None:
    """Return the error in response to a request for instances; None if a record has none, or is of a dry run."""
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


def visible_records(records: Sequence[Record]) -> list[Record]:
    """Return decisions, the results of mutating calls, and intents without a result."""
    closed = {record.parent_id for record in records if record.parent_id}
    return [
        record
        for record in records
        if record.event is not Event.REPEATED
        and (record.operation is None or changes_something(record.operation))
        and not (record.event is Event.INTENT and record.id in closed)
    ]


ANNOTATIONS = {  # what their screens call annotations; nothing for details of another
    RUN: "launch started", LAUNCHED: "launch succeeded", FAILED: "launch failed", NOT_REACHED: "login check failed",
    PULLS: "download requested", CONTAINERS: "image pulled", EXITED: "command exited",
    "deleted": "deletion confirmed", "discovered": "found in AWS", "resolved": "lost responses resolved",
    "accessed": "hosts accessed", "expiry_set": "expiry set", "trusted-on-first-use": "host key trusted on first use",
    PROVENANCE: "", RESUMES: "",
}  # fmt: skip
IN_WORDS = (FAILED, NOT_REACHED, PULLS)


def event_text(record: Record) -> str:
    """Return what a record is about in a few words: an operation of AWS, or the annotations that hold something."""
    noted = [key for key, value in (record.annotation or {}).items() if value]
    words = [ANNOTATIONS.get(key, key.replace("_", " ")) for key in noted]
    return record.operation or ", ".join(filter(None, words)) or "nothing left in AWS"


def outcome(record: Record) -> str:
    """Return a record's outcome in a few words."""
    match record.event:
        case Event.INTENT:
            return "no response on record"
        case Event.ERROR:
            code = str((record.error or {}).get("code"))
            return "allowed (dry run)" if code == "DryRunOperation" else code
        case Event.ANNOTATION:
            note = record.annotation or {}
            ids = [*note.get(LAUNCHED, ()), *note.get("deleted", ()), *note.get(CONTAINERS, ())]
            ids += [found["id"] for found in note.get("discovered", ())]
            texts = [str(note[key]) for key in IN_WORDS if note.get(key)]
            texts += [f"status {note[EXITED]['exit_code']}"] if EXITED in note else []
            return ", ".join([*texts, *ids])
    return "done"
