"""What records tell of volumes beside their making: what they are, and that they are there no more. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from ec2lab.registry.instance_timeline import instances_in
from ec2lab.registry.record import Record, parse_time
from ec2lab.resources.snapshot import stored_bytes
from ec2lab.units import GIB

SETTLING = timedelta(minutes=2)
"""How young a volume may be that a listing leaves out although it lives."""


class VolumeDescriptions:
    """What volumes, the snapshots that they are made from, and images were described as."""

    def __init__(self) -> None:
        self._volumes: dict[str, Mapping[str, Any]] = {}
        self._snapshots: dict[str, Mapping[str, Any]] = {}
        self._images: dict[tuple[str, str], int] = {}

    def hear(self, record: Record) -> None:
        """Take an answer in."""
        response = record.response or {}
        match record.operation:
            case "DescribeVolumes":
                self._volumes |= {found["VolumeId"]: found for found in response.get("Volumes", ())}
            case "CreateSnapshot" | "StartSnapshot":
                self._snapshots[response["SnapshotId"]] = response
            case "DescribeSnapshots":
                self._snapshots |= {found["SnapshotId"]: found for found in response.get("Snapshots", ())}
            case "DescribeImages":
                self._images |= dict(_sizes(response))

    def made_of(self, identity: str, asked: Mapping[str, Any], image: str, device: str) -> Mapping[str, Any]:
        """Return a volume in the words of DescribeVolumes, as far as it is known, from what was asked for."""
        described = self._volumes.get(identity, {})
        snapshot = str(described.get("SnapshotId") or asked.get("SnapshotId") or "")
        sizes = (asked.get("Size"), asked.get("VolumeSize"), self._snapshots.get(snapshot, {}).get("VolumeSize"),
                 self._images.get((image, device)))  # fmt: skip
        named = {key: asked[key] for key in ("VolumeType", "Iops", "Throughput") if asked.get(key)}
        return {"Size": next(filter(None, sizes), None), "SnapshotId": snapshot, **named, **described}

    def stored(self, snapshot: str) -> float | None:
        """Return how many GiB all blocks of a snapshot are."""
        stored = stored_bytes(self._snapshots.get(snapshot, {}))
        return stored / GIB if stored else None


def _sizes(response: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], int]]:
    """Yield the size of each device of each image."""
    for image in response.get("Images", ()):
        for mapping in image.get("BlockDeviceMappings", ()):
            if size := mapping.get("Ebs", {}).get("VolumeSize"):
                yield (image["ImageId"], mapping["DeviceName"]), size


class FullListings:
    """Which volumes a whole listing of their region did not show, and when: they were deleted by hand."""

    def __init__(self) -> None:
        self.unlisted: dict[str, datetime] = {}
        self._there: dict[str, dict[str, datetime]] = {}
        """By region, since when a volume is known to be there."""
        self._pages: dict[str, set[str]] = {}
        """By region, what the pages so far of a whole listing show."""

    def hear(self, record: Record) -> None:
        """Take an answer in: `make audit` lists whole regions."""
        region, response, at = record.region or "", record.response or {}, parse_time(record.time)
        there = self._there.setdefault(region, {})
        if record.operation == "CreateVolume":
            there.setdefault(response["VolumeId"], at)
        elif record.operation == "DescribeInstances":
            for machine in instances_in(response):
                for mapping in machine.get("BlockDeviceMappings", ()):
                    if identity := mapping.get("Ebs", {}).get("VolumeId"):
                        there.setdefault(identity, at)
        elif record.operation == "DescribeVolumes" and not _is_of_some(record.request or {}):
            self._listed(region, record.request or {}, response, at)

    def _listed(self, region: str, request: Mapping[str, Any], response: Mapping[str, Any], at: datetime) -> None:
        shown = self._pages.setdefault(region, set()) if "NextToken" in request else set()
        shown |= {found["VolumeId"] for found in response.get("Volumes", ())}
        self._pages[region] = shown
        if response.get("NextToken"):
            return
        there = self._there[region]
        for identity in [known for known, since in there.items() if known not in shown and since < at - SETTLING]:
            del there[identity]
            self.unlisted.setdefault(identity, at)


def _is_of_some(request: Mapping[str, Any]) -> bool:
    return bool(request.get("Filters") or request.get("VolumeIds"))
