"""Volumes: datasets, created from their snapshots by the launch itself; scratch volumes; instance store disks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ec2lab.aws.tags import DATA, DELETION_POLICY, of_device
from ec2lab.config.models import Experiment
from ec2lab.config.volume import Data, InstanceStore, Scratch, Volume
from ec2lab.datasets.dataset import UUID, DataSnapshot, chosen, data_registries, list_snapshots
from ec2lab.deletion_policy import DeletionPolicy, Disposition
from ec2lab.errors import UserError
from ec2lab.hosts.program_packer import sent, unit
from ec2lab.launch.part import LaunchContext, LaunchFragment, LaunchPart, write_files
from ec2lab.templates import text_of
from ec2lab.volumes.spec import DEVICES, PROGRAM, VOLUMES, VolumeSpec

UNIT = "ec2-lab-volumes.service"
OF_PARTS = ("BLOCK_DEVICES", "MBR_LIMIT", "NEARLY_ALL", "SECTOR", "activate", "grow_partition", "kernels_own")
"""Code for partitions and logical volumes, and what only that code uses. It is left out where there are none, because
user data is limited."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A volume of an experiment, the snapshot that it is created from, and its requested device name."""

    volume: Volume
    snapshot: DataSnapshot | None
    device: str


class Volumes(LaunchPart):
    """A block device mapping for each volume, and the program that mounts it on the instance."""

    name = "volumes"
    order = 20

    def share(self, site: LaunchContext) -> LaunchFragment:
        if not site.experiment.mounted:
            return LaunchFragment()
        attached = list(_attached(site))
        specs = [on_instance(one.volume, one.device, one.snapshot) for one in attached]
        if site.experiment.instance_store:
            specs.append(_of_the_instance(site.experiment.instance_store))
        has_parts = any(one.snapshot and not one.snapshot.is_whole_disk for one in attached)
        program = sent("mount-volumes.py", *(() if has_parts else OF_PARTS))
        specs.sort(key=lambda volume: volume.mount)  # /data before /data/speech
        files = {
            PROGRAM: ("0755", program),
            VOLUMES: ("0644", json.dumps([one.as_dict() for one in specs])),
            f"/etc/systemd/system/{UNIT}": ("0644", unit(text_of(UNIT))),
        }
        return LaunchFragment(
            request={"BlockDeviceMappings": [mapping(one.volume, one.device, one.snapshot) for one in attached]},
            cloud_init={
                "write_files": write_files(files),
                # A unit, because a stop erases the instance's own disks.
                "runcmd": [["systemctl", "--no-reload", "enable", "--now", UNIT]],
            },
            tags=_tags(attached),
        )


def _attached(site: LaunchContext) -> Iterator[Attached]:
    """Assign device names and snapshots to volumes. Raises RegionUnavailable, UserError."""
    experiment: Experiment = site.experiment
    volumes: list[Volume] = [*experiment.data, *experiment.scratch]
    if len(volumes) > len(DEVICES):
        raise UserError(f"experiments/{site.name}.toml: {len(volumes)} volumes; an instance can have {len(DEVICES)}")
    there = list_snapshots(site.session.cloud, site.region) if experiment.data else []
    for volume, device in zip(volumes, DEVICES, strict=False):
        snapshot = None
        if isinstance(volume, Data):
            snapshot = chosen(volume.dataset, volume.version, there, site.region, data_registries(site.session))
        yield Attached(volume, snapshot, device)


def _tags(attached: list[Attached]) -> dict[str, str]:
    data = ", ".join(f"{one.snapshot.name} on {one.volume.mount}" for one in attached if one.snapshot)
    ends = {
        of_device(DELETION_POLICY, one.device): str(_disposition(one.volume))
        for one in attached
        if one.volume.deletion_policy is not DeletionPolicy.DELETE
    }
    return ends | ({DATA: data[:256]} if data else {})


def _disposition(volume: Volume) -> Disposition:
    if volume.deletion_policy is not DeletionPolicy.SNAPSHOT or not isinstance(volume, Data | Scratch):
        return Disposition(volume.deletion_policy, volume.retain_for, volume.reason or "")
    version = volume.version if isinstance(volume, Scratch) else None  # Data names its source version
    return Disposition(volume.deletion_policy, dataset=volume.dataset or "", version=version)


def mapping(volume: Volume, device: str, snapshot: DataSnapshot | None) -> dict[str, Any]:
    """Return the mapping by which RunInstances creates and later deletes the volume. Raises UserError."""
    gib = volume.size_gib if isinstance(volume, Data | Scratch) else None
    if snapshot and gib is not None and gib < snapshot.gib:
        raise UserError(f"dataset {snapshot.dataset}: size_gib = {gib} is less than the {snapshot.gib} of its snapshot")
    asked = {
        "SnapshotId": snapshot.id if snapshot else None,
        "VolumeType": volume.type,
        "DeleteOnTermination": volume.deletion_policy is DeletionPolicy.DELETE,
        # A volume from an encrypted snapshot is encrypted, and AWS rejects an explicit setting.
        "Encrypted": None if snapshot and snapshot.encrypted else True,
        "VolumeSize": gib,
        "Iops": volume.iops,
        "Throughput": volume.throughput,
        "VolumeInitializationRate": volume.initialization_rate if isinstance(volume, Data) else None,
    }
    return {"DeviceName": device, "Ebs": {key: value for key, value in asked.items() if value is not None}}


def on_instance(volume: Volume, device: str, snapshot: DataSnapshot | None) -> VolumeSpec:
    return VolumeSpec(
        mount=volume.mount,
        device=device,
        uuid=snapshot.tags.get(UUID) if snapshot else None,
        read_only=volume.read_only if isinstance(volume, Data) else None,
        format=volume.filesystem if isinstance(volume, Scratch) else None,
        owner=volume.owner,
        mode=volume.mode,
        options=volume.options or None,
    )


def _of_the_instance(store: InstanceStore) -> VolumeSpec:
    return VolumeSpec(
        source="instance-store", mount=store.mount, format=store.filesystem, owner=store.owner, mode=store.mode,
        options=store.options or None,
    )  # fmt: skip
