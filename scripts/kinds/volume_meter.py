"""What volumes cost: those that were made by themselves, and those that came with machines. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from scripts.core.charges import Span
from scripts.core.metering import Meter, moment_of, person_of
from scripts.core.price_book import PriceBook
from scripts.core.rates import Hourly, Monthly
from scripts.core.record import Event, Record
from scripts.core.resources import GONE
from scripts.core.tags import EXPERIMENT, requested_tags
from scripts.kinds.machine_lives import MachineLife, MachineLives

GIB = 1 << 30
SETTLING = timedelta(minutes=2)
"""How young a volume may be that a listing leaves out although it lives."""


@dataclass(frozen=True, slots=True)
class VolumeLife:
    """One volume."""

    id: str
    region: str
    experiment: str | None
    by: str
    asked: Mapping[str, Any]
    """What was asked for, in the words of CreateVolume and of a mapping's Ebs."""
    began: datetime
    ended: datetime | None
    of: str = ""
    due: datetime | None = None


class VolumeMeter(Meter):
    """Volumes cost by the second and 60 seconds at the least, attached or not (https://aws.amazon.com/ebs/pricing/).

    What a request leaves open is taken from a description of the volume, its snapshot or its image, whenever that came;
    without any it is unknown. A volume that was kept costs until it is deleted, or until a whole listing of its region
    shows it no more.
    """

    def __init__(self) -> None:
        self.machines = MachineLives()
        self._made: dict[str, Record] = {}
        self._ended: dict[str, datetime] = {}
        self._described: dict[str, Mapping[str, Any]] = {}
        self._snapshots: dict[str, Mapping[str, Any]] = {}
        self._images: dict[tuple[str, str], int] = {}
        self._listed: dict[str, set[str]] = {}
        """By region, what the pages so far of a whole listing show."""

    def hear(self, record: Record) -> None:
        """Take a record in."""
        self.machines.hear(record)
        for identity in (record.note or {}).get(GONE, ()):
            self._end(identity, record.time)
        if record.event is not Event.ANSWER:
            return
        request, response = record.request or {}, record.response or {}
        match record.operation:
            case "CreateVolume":
                self._made[response["VolumeId"]] = record
            case "DeleteVolume":
                self._end(request["VolumeId"], record.time)
            case "DescribeVolumes":
                self._described |= {volume["VolumeId"]: volume for volume in response.get("Volumes", ())}
                self._hear_listing(record, request, response)
            case "CreateSnapshot" | "StartSnapshot":
                self._snapshots[response["SnapshotId"]] = response
            case "DescribeSnapshots":
                self._snapshots |= {found["SnapshotId"]: found for found in response.get("Snapshots", ())}
            case "DescribeImages":
                self._images |= dict(_sizes(response))

    def _end(self, identity: str, at: str) -> None:
        self._ended.setdefault(identity, moment_of(at))

    def _hear_listing(self, record: Record, request: Mapping[str, Any], response: Mapping[str, Any]) -> None:
        """Where all volumes of a region were listed, end those that are not there: they were deleted by hand."""
        region = record.region or ""
        if request.get("Filters") or request.get("VolumeIds"):
            return
        if "NextToken" not in request:
            self._listed[region] = set()
        shown = self._listed.get(region)
        if shown is None:
            return  # a later page of a listing whose first one is not on record
        shown |= {volume["VolumeId"] for volume in response.get("Volumes", ())}
        if not response.get("NextToken"):
            del self._listed[region]
            at = moment_of(record.time)
            for one in list(self._lives()):
                if one.region == region and one.id not in shown and one.ended is None and one.began < at - SETTLING:
                    self._end(one.id, record.time)

    def _lives(self) -> Iterator[VolumeLife]:
        for identity, record in self._made.items():
            request, response = record.request or {}, record.response or {}
            experiment = requested_tags(request, "volume").get(EXPERIMENT)
            began = moment_of(response.get("CreateTime") or record.time)
            asked = {**request, **response}
            ended = self._ended.get(identity)
            yield VolumeLife(identity, record.region or "", experiment, person_of(record), asked, began, ended)
        for machine in self.machines.known.values():
            yield from self._came_with(machine)

    def _came_with(self, machine: MachineLife) -> Iterator[VolumeLife]:
        if machine.ended and not machine.runs:
            return  # it never came to run, and its volumes went with it within seconds
        asked = {m["DeviceName"]: m["Ebs"] for m in machine.request.get("BlockDeviceMappings", ()) if "Ebs" in m}
        attached = {d: e for d, e in machine.volumes.items() if e.get("VolumeId") not in self._made}
        for device in {**asked, **attached}:
            told = {**attached.get(device, {}), **asked.get(device, {})}
            identity = attached.get(device, {}).get("VolumeId") or f"{machine.id}{device}"
            goes_with_it = told.get("DeleteOnTermination", True)
            ended = self._ended.get(identity) or (machine.ended if goes_with_it else None)
            if size := self._images.get((machine.request.get("ImageId", ""), device)):
                told = {"VolumeSize": size, **told}
            yield VolumeLife(
                identity,
                machine.region,
                machine.experiment,
                machine.by,
                told,
                machine.made,
                ended,
                machine.id,
                machine.due if goes_with_it else None,
            )

    def spans(self, book: PriceBook, now: datetime) -> Iterator[Span]:
        """Yield a span for each volume, and what was paid for its initialization."""
        del now
        for one in self._lives():
            made_of = self._made_of(one)
            vague = not (made_of.get("Size") and made_of.get("VolumeType"))
            yield Span(
                kind="volume", id=one.id, region=one.region, experiment=one.experiment, by=one.by, of=one.of,
                what=_in_words(made_of), rate=Monthly(None if vague else book.volume(one.region, made_of)), vague=vague, due=one.due,
                began=one.began, ended=one.ended,
            )  # fmt: skip
            if rate := one.asked.get("VolumeInitializationRate"):
                snapshot = self._snapshots.get(str(made_of.get("SnapshotId")), {})
                stored = snapshot.get("FullSnapshotSizeInBytes")
                gib = stored / GIB if stored else snapshot.get("VolumeSize")
                yield Span(
                    kind="volume", id=one.id, region=one.region, experiment=one.experiment, by=one.by, of=one.of,
                    what=f"initialization at {rate} MiB/s", rate=Hourly(0.0), began=one.began, ended=one.began,
                    once=book.initialization(one.region, gib),
                )  # fmt: skip

    def _made_of(self, one: VolumeLife) -> Mapping[str, Any]:
        """Return the volume in the words of DescribeVolumes, as far as it is known."""
        described = self._described.get(one.id, {})
        snapshot = described.get("SnapshotId") or one.asked.get("SnapshotId")
        size = (
            one.asked.get("Size")
            or one.asked.get("VolumeSize")
            or self._snapshots.get(str(snapshot), {}).get("VolumeSize")
        )
        asked = {key: one.asked[key] for key in ("VolumeType", "Iops", "Throughput") if one.asked.get(key)}
        return {"Size": size, "SnapshotId": snapshot, **asked, **described}


def _in_words(made_of: Mapping[str, Any]) -> str:
    parts = [f"{made_of.get('Size') or '?'} GiB {made_of.get('VolumeType') or 'of unknown type'}"]
    if made_of.get("Iops"):
        parts.append(f"{made_of['Iops']} iops")
    if made_of.get("Throughput"):
        parts.append(f"{made_of['Throughput']} MiB/s")
    return ", ".join(parts)


def _sizes(response: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], int]]:
    """Yield the size of each device of each image."""
    for image in response.get("Images", ()):
        for mapping in image.get("BlockDeviceMappings", ()):
            if size := mapping.get("Ebs", {}).get("VolumeSize"):
                yield (image["ImageId"], mapping["DeviceName"]), size
