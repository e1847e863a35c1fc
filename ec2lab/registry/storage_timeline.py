"""When volumes and snapshots existed, and their properties. Pure.

Volumes are created on their own or with instances. Snapshots are as AWS described them, with the times when fast
restore was enabled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from ec2lab.aws.account import Account
from ec2lab.aws.tags import EXPERIMENT, RETAINED, from_aws, tags_in_request
from ec2lab.registry.evidence import token_of
from ec2lab.registry.instance_timeline import InstanceTimeline
from ec2lab.registry.record import Event, Record, parse_time
from ec2lab.registry.sightings import Sightings
from ec2lab.registry.state import DELETED, DISCOVERED

SNAPSHOT = "snapshot"
CREATE_OPERATIONS = ("CreateSnapshot", "CopySnapshot", "StartSnapshot")
FSR_OPERATIONS = {  # responses about fast restore, and the member with each State
    "EnableFastSnapshotRestores": "Successful", "DisableFastSnapshotRestores": "Successful",
    "DescribeFastSnapshotRestores": "FastSnapshotRestores",
}  # fmt: skip
DISABLED_STATES = ("disabled", "disabling")


@dataclass(slots=True, kw_only=True)
class FastRestore:
    """A time when fast restore of a snapshot was enabled in a zone."""

    zone: str
    region: str
    experiment: str | None
    by: str
    began: datetime
    ended: datetime | None = None


@dataclass(slots=True, kw_only=True)
class SnapshotTimeline:
    """One snapshot that was created or described."""

    id: str
    region: str
    experiment: str | None = None
    by: str = ""
    began: datetime | None = None  # None if no record shows its creation: it was only described
    ended: datetime | None = None
    described: Mapping[str, Any] = field(default_factory=dict)
    """Everything that responses contain about it, the latest last."""
    is_listed: bool = False
    restores: list[FastRestore] = field(default_factory=list)

    def end(self, moment: datetime) -> None:
        self.ended = self.ended or max(moment, self.began or moment)


class SnapshotTimelines:
    """All snapshots in the records. Creations are noted before later events."""

    def __init__(self, records: Iterable[Record], sightings: Sightings) -> None:
        self.known: dict[str, SnapshotTimeline] = {}
        for record in records:
            self._note_births(record)
        for record in records:
            self._note_events(record, record.request or {}, record.response or {})
        for one in self.known.values():
            if one.began and (gone := sightings.gone_by(one.id, one.began)):
                one.end(gone)

    def _note_births(self, record: Record) -> None:
        if record.event is Event.RESPONSE and record.operation in CREATE_OPERATIONS and record.response:
            found, experiment = record.response, tags_in_request(record.request or {}, SNAPSHOT).get(EXPERIMENT)
            self._born(found["SnapshotId"], record.region or "", experiment, record, found.get("StartTime"))
        for discovered in (record.annotation or {}).get(DISCOVERED, ()):
            if discovered["resource_type"] == SNAPSHOT:
                experiment = discovered.get("experiment", record.experiment)
                self._born(
                    str(discovered["id"]), str(discovered["region"]), experiment, record, discovered.get("since")
                )

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


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeTimeline:
    """One volume."""

    id: str
    region: str
    experiment: str | None
    by: str
    whose: Account | None
    described: Mapping[str, Any]  # its properties as in DescribeVolumes, as far as they are known
    snapshot: Mapping[str, Any]  # the same for its snapshot, as in DescribeSnapshots
    initialization_rate: int  # MiB/s at which its blocks were loaded; 0 for AWS's default
    began: datetime
    ended: datetime | None
    retained: bool
    instance: str = ""  # the instance that it was created with, if any
    due: datetime | None = None

    @property
    def is_described(self) -> bool:
        """Whether the size and type that determine its price are known."""
        return bool(self.described.get("Size") and self.described.get("VolumeType"))


class VolumeTimelines:
    """All volumes in the records.

    What a request leaves out is taken from a description of the volume, its snapshot or its image. A retained volume
    exists until it is deleted, or until AWS, queried for it, no longer shows it.
    """

    def __init__(
        self,
        records: Iterable[Record],
        requests: Mapping[str, Record],
        snapshots: Mapping[str, SnapshotTimeline],
        sightings: Sightings,
    ) -> None:
        self._snapshots = snapshots
        self._sightings = sightings
        self._asked: dict[str, Record] = {}  # CreateVolume requests by token: the response may be lost
        self._made: dict[str, Record] = {}
        self._ended: dict[str, datetime] = {}
        self._retained: set[str] = set()
        self._volumes: dict[str, Mapping[str, Any]] = {}
        self._images: dict[tuple[str, str], int] = {}
        for record in records:
            if record.annotation:
                self._add_note(record, record.annotation, requests)
            elif record.operation == "CreateVolume" and record.event is Event.INTENT:
                self._asked[token_of(record)] = record
            elif record.event is Event.RESPONSE:
                self._add_response(record, record.request or {}, record.response or {})

    def _add_note(self, record: Record, note: Mapping[str, Any], requests: Mapping[str, Record]) -> None:
        for identity in note.get(DELETED, ()):
            self._ended.setdefault(identity, parse_time(record.time))
        for discovered in note.get(DISCOVERED, ()):
            if discovered["resource_type"] == "volume" and discovered["record"] not in requests:
                asked = self._asked.get(discovered["record"]) or replace(record, region=discovered["region"])
                self._made.setdefault(discovered["id"], replace(asked, time=discovered.get("since") or asked.time))

    def _add_response(self, record: Record, request: Mapping[str, Any], response: Mapping[str, Any]) -> None:
        match record.operation:
            case "CreateVolume":
                self._made[response["VolumeId"]] = record
            case "DeleteVolume" if "VolumeId" in request:
                self._ended.setdefault(request["VolumeId"], parse_time(record.time))
            case "CreateTags" if is_retention(record):
                self._retained.update(request.get("Resources", ()))
            case "DescribeVolumes":
                self._volumes |= {found["VolumeId"]: found for found in response.get("Volumes", ())}
            case "DescribeImages":
                self._images |= dict(_sizes(response))

    def of(self, instances: Iterable[InstanceTimeline]) -> Iterator[VolumeTimeline]:
        """Yield all volumes, including those of these instances."""
        for identity, record in self._made.items():
            request, response = record.request or {}, record.response or {}
            began = parse_time(response.get("CreateTime") or record.time)
            yield VolumeTimeline(
                id=identity, region=record.region or "", by=record.by, whose=record.whose, began=began,
                experiment=tags_in_request(request, "volume").get(EXPERIMENT) or record.experiment,
                ended=self._end(identity, record, began), retained=identity in self._retained,
                **self._as_described(identity, {**request, **response}),
            )  # fmt: skip
        for instance in instances:
            if instance.runs or not instance.ended:  # else it never ran, and its volumes were deleted with it
                yield from self._root_and_data_volumes(instance)

    def _end(self, identity: str, made: Record | InstanceTimeline, began: datetime) -> datetime | None:
        unlisted = self._sightings.unlisted_by(identity, made.whose, made.region or "", began)
        return self._ended.get(identity) or unlisted

    def _root_and_data_volumes(self, instance: InstanceTimeline) -> Iterator[VolumeTimeline]:
        asked = {m["DeviceName"]: m["Ebs"] for m in instance.request.get("BlockDeviceMappings", ()) if "Ebs" in m}
        attached = {d: e for d, e in instance.volumes.items() if e.get("VolumeId") not in self._made}
        image = str(instance.request.get("ImageId", ""))
        for device in {**asked, **attached}:
            described = {**attached.get(device, {}), **asked.get(device, {})}
            identity = attached.get(device, {}).get("VolumeId") or ""
            goes_with_it = described.get("DeleteOnTermination", True)
            ends = [
                self._end(identity, instance, instance.began) if identity else None,
                instance.ended if goes_with_it else None,
            ]
            yield VolumeTimeline(
                id=identity or f"{instance.id}{device}", region=instance.region, experiment=instance.experiment,
                by=instance.by, whose=instance.whose, began=instance.began, ended=min(filter(None, ends), default=None),
                instance=instance.id, due=instance.due if goes_with_it else None, retained=identity in self._retained,
                **self._as_described(identity, described, self._images.get((image, device))),
            )  # fmt: skip

    def _as_described(self, identity: str, asked: Mapping[str, Any], of_image: int | None = None) -> dict[str, Any]:
        """Return a volume, its snapshot and its initialization rate, from the request."""
        described = self._volumes.get(identity, {})
        snapshot = str(described.get("SnapshotId") or asked.get("SnapshotId") or "")
        made_from = self._snapshots[snapshot].described if snapshot in self._snapshots else {}
        sizes = (asked.get("Size"), asked.get("VolumeSize"), made_from.get("VolumeSize"), of_image)
        named = {key: asked[key] for key in ("VolumeType", "Iops", "Throughput") if asked.get(key)}
        size = next(filter(None, sizes), None)
        return {
            "described": {"Size": size, "SnapshotId": snapshot, **named, **described}, "snapshot": made_from,
            "initialization_rate": asked.get("VolumeInitializationRate") or 0,
        }  # fmt: skip


def is_retention(record: Record) -> bool:
    """Return whether a teardown marked volumes as retained."""
    is_answer = record.operation == "CreateTags" and record.event is Event.RESPONSE
    return is_answer and RETAINED in from_aws((record.request or {}).get("Tags"))


def _sizes(response: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], int]]:
    for image in response.get("Images", ()):
        for mapping in image.get("BlockDeviceMappings", ()):
            if size := mapping.get("Ebs", {}).get("VolumeSize"):
                yield (image["ImageId"], mapping["DeviceName"]), size
