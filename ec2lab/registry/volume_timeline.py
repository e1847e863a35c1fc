"""From when to when volumes were there, and what they are: those made by themselves, and those of instances. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ec2lab.aws.account import Account
from ec2lab.aws.tags import EXPERIMENT, KEPT, from_aws, tags_in_request
from ec2lab.registry.evidence import token_of
from ec2lab.registry.instance_timeline import InstanceTimeline
from ec2lab.registry.looks import Looks
from ec2lab.registry.record import Event, Record, parse_time
from ec2lab.registry.snapshot_timeline import SnapshotTimeline
from ec2lab.registry.state import DELETED, DISCOVERED


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeTimeline:
    """One volume."""

    id: str
    region: str
    experiment: str | None
    by: str
    whose: Account | None
    """The account that it is in, where that is known."""
    described: Mapping[str, Any]
    """In the words of DescribeVolumes, as far as it is known."""
    snapshot: Mapping[str, Any]
    """The same of what it was made from, in those of DescribeSnapshots."""
    initialization_rate: int
    """MiB/s at which its blocks were loaded; 0 where that was left to AWS."""
    began: datetime
    ended: datetime | None
    kept: bool
    """Whether a teardown kept it."""
    instance: str = ""
    """The instance that it came with, where it came with one."""
    due: datetime | None = None

    @property
    def is_told(self) -> bool:
        """Whether its size and its type are known, from which its price follows."""
        return bool(self.described.get("Size") and self.described.get("VolumeType"))


class VolumeTimelines:
    """All volumes that records tell of.

    What a request leaves open is taken from a description of the volume, its snapshot or its image, whenever that came.
    A volume that was kept is there until it is deleted, or until AWS, asked for it, does not show it any more.
    """

    def __init__(
        self,
        records: Iterable[Record],
        requests: Mapping[str, Record],
        snapshots: Mapping[str, SnapshotTimeline],
        looks: Looks,
    ) -> None:
        self._snapshots = snapshots
        self._looks = looks
        self._asked: dict[str, Record] = {}
        """What CreateVolume was asked, by its token: the response may be lost."""
        self._made: dict[str, Record] = {}
        self._ended: dict[str, datetime] = {}
        self._kept: set[str] = set()
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
        for told in note.get(DISCOVERED, ()):
            if told["kind"] == "volume" and told["record"] not in requests:
                asked = self._asked.get(told["record"]) or replace(record, region=told["region"])
                self._made.setdefault(told["id"], replace(asked, time=told.get("since") or asked.time))

    def _add_response(self, record: Record, request: Mapping[str, Any], response: Mapping[str, Any]) -> None:
        match record.operation:
            case "CreateVolume":
                self._made[response["VolumeId"]] = record
            case "DeleteVolume" if "VolumeId" in request:
                self._ended.setdefault(request["VolumeId"], parse_time(record.time))
            case "CreateTags" if is_retention(record):
                self._kept.update(request.get("Resources", ()))
            case "DescribeVolumes":
                self._volumes |= {found["VolumeId"]: found for found in response.get("Volumes", ())}
            case "DescribeImages":
                self._images |= dict(_sizes(response))

    def of(self, instances: Iterable[InstanceTimeline]) -> Iterator[VolumeTimeline]:
        """Yield each volume, with those of these instances."""
        for identity, record in self._made.items():
            request, response = record.request or {}, record.response or {}
            began = parse_time(response.get("CreateTime") or record.time)
            yield VolumeTimeline(
                id=identity, region=record.region or "", by=record.by, whose=record.whose, began=began,
                experiment=tags_in_request(request, "volume").get(EXPERIMENT) or record.experiment,
                ended=self._end(identity, record, began), kept=identity in self._kept,
                **self._told(identity, {**request, **response}),
            )  # fmt: skip
        for instance in instances:
            if instance.runs or not instance.ended:  # else it never came to run, and its volumes went with it
                yield from self._root_and_data_volumes(instance)

    def _end(self, identity: str, made: Record | InstanceTimeline, began: datetime) -> datetime | None:
        unlisted = self._looks.unlisted_by(identity, made.whose, made.region or "", began)
        return self._ended.get(identity) or unlisted

    def _root_and_data_volumes(self, instance: InstanceTimeline) -> Iterator[VolumeTimeline]:
        asked = {m["DeviceName"]: m["Ebs"] for m in instance.request.get("BlockDeviceMappings", ()) if "Ebs" in m}
        attached = {d: e for d, e in instance.volumes.items() if e.get("VolumeId") not in self._made}
        image = str(instance.request.get("ImageId", ""))
        for device in {**asked, **attached}:
            told = {**attached.get(device, {}), **asked.get(device, {})}
            identity = attached.get(device, {}).get("VolumeId") or ""
            goes_with_it = told.get("DeleteOnTermination", True)
            ends = [
                self._end(identity, instance, instance.began) if identity else None,
                instance.ended if goes_with_it else None,
            ]
            yield VolumeTimeline(
                id=identity or f"{instance.id}{device}", region=instance.region, experiment=instance.experiment,
                by=instance.by, whose=instance.whose, began=instance.began, ended=min(filter(None, ends), default=None),
                instance=instance.id, due=instance.due if goes_with_it else None, kept=identity in self._kept,
                **self._told(identity, told, self._images.get((image, device))),
            )  # fmt: skip

    def _told(self, identity: str, asked: Mapping[str, Any], of_image: int | None = None) -> dict[str, Any]:
        """Return what a volume and its snapshot are, and at which rate it was initialized, from what was asked for."""
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
    """Say whether a teardown marked volumes as kept."""
    is_answer = record.operation == "CreateTags" and record.event is Event.RESPONSE
    return is_answer and KEPT in from_aws((record.request or {}).get("Tags"))


def _sizes(response: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], int]]:
    """Yield the size of each device of each image."""
    for image in response.get("Images", ()):
        for mapping in image.get("BlockDeviceMappings", ()):
            if size := mapping.get("Ebs", {}).get("VolumeSize"):
                yield (image["ImageId"], mapping["DeviceName"]), size
