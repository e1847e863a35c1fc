"""Data sets on volumes of their own, made from their snapshots by the launch itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scripts.core.config import Data
from scripts.core.errors import LabError
from scripts.core.launch_part import LaunchPart, RegionUnready, Share, Site
from scripts.core.names import closest
from scripts.core.render import text_of
from scripts.core.tags import DATA, DATASET, VERSION, tag_map

DEVICES = [f"/dev/sd{letter}" for letter in "fghijklmnop"]
"""The names that AWS sets aside for data volumes
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html)."""

PROGRAM = "/opt/ec2-lab/mount-volumes"
VOLUMES = "/etc/ec2-lab/volumes.json"

Snapshot = Mapping[str, Any]


class DataVolumes(LaunchPart):
    """A block device mapping for each data set, and what mounts it on the machine."""

    name = "data-volumes"
    order = 20

    def share(self, site: Site) -> Share:
        """Return the mappings, the mounts, the tag that names the data. Raises RegionUnready where some is missing."""
        volumes = sorted(site.experiment.data, key=lambda data: data.mount)  # /data before /data/speech
        if not volumes:
            return Share()
        if len(volumes) > len(DEVICES):
            raise LabError(f"experiments/{site.name}.toml: data: {len(volumes)} volumes; {len(DEVICES)} fit a machine")
        in_region = list(_snapshots(site))
        chosen = [snapshot_of(data, in_region, site.region) for data in volumes]
        mounted = list(zip(volumes, chosen, DEVICES, strict=False))
        return Share(
            request={"BlockDeviceMappings": [mapping(*volume) for volume in mounted]},
            cloud_init={
                "write_files": [
                    {"path": PROGRAM, "permissions": "0755", "content": text_of("mount-volumes.py")},
                    {"path": VOLUMES, "permissions": "0644", "content": json.dumps([mount(*v) for v in mounted])},
                ],
                "runcmd": [[PROGRAM, VOLUMES]],
            },
            tags={DATA: ", ".join(f"{_named(snapshot)} on {data.mount}" for data, snapshot, _ in mounted)[:256]},
        )


def _snapshots(site: Site) -> Iterable[Snapshot]:
    pages = site.session.cloud.ec2(site.region).get_paginator("describe_snapshots")
    for page in pages.paginate(OwnerIds=["self"], Filters=[{"Name": "tag-key", "Values": [DATASET]}]):
        yield from page["Snapshots"]


def snapshot_of(data: Data, snapshots: Sequence[Snapshot], region: str) -> Snapshot:
    """Return the newest completed snapshot of a data set, or of its pinned version. Raises RegionUnready."""
    of_data_set = [s for s in snapshots if tag_map(s["Tags"]).get(DATASET) == data.dataset]
    wanted = [s for s in of_data_set if data.version in (None, tag_map(s["Tags"]).get(VERSION))]
    completed = [s for s in wanted if s["State"] == "completed"]
    if completed:
        return max(completed, key=lambda snapshot: snapshot["StartTime"])
    if wanted:
        progress = ", ".join(f"{s['SnapshotId']} {s.get('Progress') or s['State']}" for s in wanted)
        raise RegionUnready(f"data set {data.dataset} is not complete yet in {region} ({progress})")
    if of_data_set:
        versions = sorted({tag_map(s["Tags"]).get(VERSION, "?") for s in of_data_set})
        command = f"`make snapshot-copy DATASET={data.dataset} VERSION={data.version} REGIONS={region}`"
        raise RegionUnready(
            f"data set {data.dataset} has no version {data.version} in {region}, only {', '.join(versions)} "
            f"({command} copies it there from another region)"
        )
    command = f"`make snapshot-copy DATASET={data.dataset} REGIONS={region}`"
    hint = closest(data.dataset, {tag_map(s["Tags"])[DATASET] for s in snapshots})
    copy = f" ({command} copies it there from another region)"
    raise RegionUnready(f"data set {data.dataset} is not in {region}{hint or copy}")


def mapping(data: Data, snapshot: Snapshot, device: str) -> dict[str, Any]:
    """Return the block device mapping by which RunInstances itself makes, attaches and later deletes the volume.

    Raises LabError where AWS would refuse it.
    """
    if data.gib is not None and data.gib < snapshot["VolumeSize"]:
        raise LabError(f"data set {data.dataset}: gib = {data.gib}, its snapshot has {snapshot['VolumeSize']}")
    volume = {
        "SnapshotId": snapshot["SnapshotId"],
        "VolumeType": data.type,
        "DeleteOnTermination": True,
        # A volume of an encrypted snapshot is encrypted, and AWS refuses to be told so again.
        "Encrypted": None if snapshot.get("Encrypted") else True,
        "VolumeSize": data.gib,
        "Iops": data.iops,
        "Throughput": data.throughput,
        "VolumeInitializationRate": data.initialization_rate,
    }
    return {"DeviceName": device, "Ebs": {key: value for key, value in volume.items() if value is not None}}


def mount(data: Data, snapshot: Snapshot, device: str) -> dict[str, Any]:
    """Return what the machine is told of one volume."""
    return {
        "device": device,
        "uuid": tag_map(snapshot["Tags"]).get("lab:uuid"),
        "mount": data.mount,
        "read_only": data.read_only,
    }


def _named(snapshot: Snapshot) -> str:
    tags = tag_map(snapshot["Tags"])
    return f"{tags[DATASET]}@{tags.get(VERSION, '?')}"
