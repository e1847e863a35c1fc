"""From when to when snapshots were there, as AWS described them, and when fast restore was on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ec2lab.aws.tags import EXPERIMENT, tags_in_request
from ec2lab.registry.looks import Looks
from ec2lab.registry.record import Event, Record, parse_time
from ec2lab.registry.state import DELETED, DISCOVERED

SNAPSHOT = "snapshot"
CREATE_OPERATIONS = ("CreateSnapshot", "CopySnapshot", "StartSnapshot")
FSR_OPERATIONS = {
    "EnableFastSnapshotRestores": "Successful", "DisableFastSnapshotRestores": "Successful",
    "DescribeFastSnapshotRestores": "FastSnapshotRestores",
}  # fmt: skip
"""Which responses tell of fast restore, and in which member, each with its State."""
DISABLED_STATES = ("disabled", "disabling")


@dataclass(slots=True, kw_only=True)
class FastRestore:
    """A time in which fast restore of a snapshot was on in a zone."""

    zone: str
    region: str
    experiment: str | None
    by: str
    began: datetime
    ended: datetime | None = None


@dataclass(slots=True, kw_only=True)
class SnapshotTimeline:
    """One snapshot that was made, or described."""

    id: str
    region: str
    experiment: str | None = None
    by: str = ""
    began: datetime | None = None
    """None where no record says that it was made: somebody else's that was described."""
    ended: datetime | None = None
    described: Mapping[str, Any] = field(default_factory=dict)
    """All that responses tell of it, the latest last."""
    is_listed: bool = False
    """Whether DescribeSnapshots showed it."""
    restores: list[FastRestore] = field(default_factory=list)

    def end(self, moment: datetime) -> None:
        """Note its end; the first that is heard of is the true one."""
        self.ended = self.ended or max(moment, self.began or moment)


class SnapshotTimelines:
    """All snapshots that records tell of. What was made is noted before what became of it."""

    def __init__(self, records: Iterable[Record], looks: Looks) -> None:
        self.known: dict[str, SnapshotTimeline] = {}
        for record in records:
            self._note_births(record)
        for record in records:
            self._note_events(record, record.request or {}, record.response or {})
        for one in self.known.values():
            if one.began and (gone := looks.gone_by(one.id, one.began)):
                one.end(gone)

    def _note_births(self, record: Record) -> None:
        if record.event is Event.RESPONSE and record.operation in CREATE_OPERATIONS and record.response:
            found, experiment = record.response, tags_in_request(record.request or {}, SNAPSHOT).get(EXPERIMENT)
            self._born(found["SnapshotId"], record.region or "", experiment, record, found.get("StartTime"))
        for told in (record.annotation or {}).get(DISCOVERED, ()):
            if told["kind"] == SNAPSHOT:
                experiment = told.get("experiment", record.experiment)
                self._born(str(told["id"]), str(told["region"]), experiment, record, told.get("since"))

    def _born(self, identity: str, region: str, experiment: str | None, record: Record, since: str | None) -> None:
        began = parse_time(since or record.time)
        born = SnapshotTimeline(id=identity, region=region, experiment=experiment, by=record.by, began=began)
        self.known.setdefault(identity, born)

    def _note_events(self, record: Record, request: Mapping[str, Any], response: Mapping[str, Any]) -> None:
        for identity in (record.annotation or {}).get(DELETED, ()):
            self._end(identity, record)
        if record.event is not Event.RESPONSE:
            return
        if record.operation in CREATE_OPERATIONS and response:
            self._saw(record, response)
        elif record.operation == "DescribeSnapshots":
            for found in response.get("Snapshots", ()):
                self._saw(record, found).is_listed = True
        elif record.operation == "DeleteSnapshot" and "SnapshotId" in request:
            self._end(request["SnapshotId"], record)
        elif record.operation in FSR_OPERATIONS:
            for found in response.get(FSR_OPERATIONS[record.operation], ()):
                self._restored(record, found)

    def _end(self, identity: str, record: Record) -> None:
        if identity in self.known:
            self.known[identity].end(parse_time(record.time))

    def _of(self, identity: str, record: Record) -> SnapshotTimeline:
        return self.known.setdefault(identity, SnapshotTimeline(id=identity, region=record.region or ""))

    def _saw(self, record: Record, found: Mapping[str, Any]) -> SnapshotTimeline:
        one = self._of(found["SnapshotId"], record)
        one.described = {**one.described, **found}
        return one

    def _restored(self, record: Record, found: Mapping[str, Any]) -> None:
        one, zone = self._of(found["SnapshotId"], record), found["AvailabilityZone"]
        on = next((restore for restore in one.restores if restore.zone == zone and restore.ended is None), None)
        if found["State"] in DISABLED_STATES:
            if on:
                on.ended = max(parse_time(found.get("DisabledTime") or record.time), on.began)
        elif on is None:
            experiment, by = (one.experiment, one.by) if one.began else (record.experiment, record.by)
            began = parse_time(found.get("EnabledTime") or found.get("OptimizingTime") or record.time)
            one.restores.append(
                FastRestore(zone=zone, region=record.region or "", experiment=experiment, by=by, began=began)
            )
