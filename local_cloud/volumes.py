"""Valid volumes: size, speed, and snapshot; and the status of existing ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_cloud import clock
from local_cloud.lifecycle import backend
from local_cloud.request import Call
from local_cloud.responses import Answer, Problem, xml_answer
from local_cloud.scenario import Scenario

INITIALIZATION_RATE = (100, 300)  # MiB/s
MOST_THROUGHPUT_PER_IOPS = 0.25
DEFAULT_TYPE = "gp2"  # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsBlockDevice.html


@dataclass(frozen=True)
class Limits:
    """The limits of a volume type: GiB, IOPS, MiB/s; None where it cannot be chosen."""

    size: tuple[int, int]
    iops: tuple[int, int] | None = None
    iops_per_gib: int = 0
    throughput: tuple[int, int] | None = None


LIMITS = {
    "gp3": Limits((1, 65536), (3000, 80000), 500, (125, 2000)),
    "gp2": Limits((1, 16384)),
    "io1": Limits((4, 16384), (100, 64000), 50),
    "io2": Limits((4, 65536), (100, 256000), 1000),
    "st1": Limits((125, 16384)),
    "sc1": Limits((125, 16384)),
    "standard": Limits((1, 1024)),
}
"""https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html, with gp3's limits of September 2025."""


def check_volume(region: str, volume: Mapping[str, str], code: str) -> None:
    """Check a volume of RunInstances or CreateVolume; `code` is that call's error for a wrong size."""
    snapshot = _snapshot(region, volume.get("SnapshotId"))
    size = int(volume.get("VolumeSize") or volume.get("Size") or (snapshot.volume.size if snapshot else 0))
    if snapshot is not None:
        _check_against(snapshot, volume, size, code)
    if volume.get("KmsKeyId") and volume.get("Encrypted") != "true":
        raise Problem(
            "InvalidParameterDependency", "The parameter KmsKeyId requires the parameter Encrypted to be set."
        )
    if volume.get("VolumeInitializationRate"):
        _check_initialization_rate(int(volume["VolumeInitializationRate"]), has_snapshot=snapshot is not None)
    name = volume.get("VolumeType", DEFAULT_TYPE)
    if name not in LIMITS:
        raise Problem("UnknownVolumeType", f"Unknown volume type: {name}. Supported are {', '.join(LIMITS)}.")
    _within("size", size, LIMITS[name].size)
    _check_speed(name, volume, size)


def _snapshot(region: str, identity: str | None) -> Any:
    if identity is None:
        return None
    snapshot = backend(region).snapshots.get(identity)
    if snapshot is None:
        raise Problem("InvalidSnapshot.NotFound", f"The snapshot '{identity}' does not exist.")
    if snapshot.status != "completed":
        raise Problem("IncorrectState", f"Snapshot is in invalid state - {snapshot.status}")
    return snapshot


def _check_against(snapshot: Any, volume: Mapping[str, str], size: int, code: str) -> None:
    if size < int(snapshot.volume.size):
        raise Problem(code, too_small(size, snapshot))
    if snapshot.encrypted and volume.get("Encrypted") == "false":
        raise Problem("InvalidParameterDependency", "The parameter Encrypted can't be false for an encrypted snapshot")


def too_small(size: int, snapshot: Any) -> str:
    """Return EC2's message for a volume smaller than its snapshot."""
    return f"Volume of size {size}GB is smaller than snapshot '{snapshot.id}', expect size >= {snapshot.volume.size}GB"


def _check_initialization_rate(rate: int, *, has_snapshot: bool) -> None:
    least, most = INITIALIZATION_RATE
    if not has_snapshot:
        raise Problem("InvalidParameterCombination", "VolumeInitializationRate is for volumes from a snapshot only.")
    if not least <= rate <= most:
        raise Problem("InvalidParameterValue", f"VolumeInitializationRate of {rate} is not in {least} to {most}.")


def _check_speed(name: str, volume: Mapping[str, str], size: int) -> None:
    limits, iops, throughput = LIMITS[name], volume.get("Iops"), volume.get("Throughput")
    for key, value, allowed in (("iops", iops, limits.iops), ("throughput", throughput, limits.throughput)):
        if value and not allowed:
            raise Problem("InvalidParameterCombination", f"The parameter {key} is not supported for {name} volumes.")
        if value and allowed:
            _within(key, int(value), allowed)
    if name in ("io1", "io2") and not iops:
        raise Problem("MissingParameter", f"The parameter iops must be specified for {name} volumes.")
    if iops and int(iops) > size * limits.iops_per_gib and int(iops) > (limits.iops or (0, 0))[0]:
        _too_high("Iops to volume size ratio", int(iops) / size, str(limits.iops_per_gib))
    if throughput and limits.iops:
        ratio = int(throughput) / int(iops or limits.iops[0])
        if ratio > MOST_THROUGHPUT_PER_IOPS:
            _too_high("Throughput (MiBps) to iops ratio", ratio, f"{MOST_THROUGHPUT_PER_IOPS:f} MiBps per iops")


def _within(what: str, value: int, allowed: tuple[int, int]) -> None:
    least, most = allowed
    if value > most:
        raise Problem("InvalidParameterValue", f"Volume {what} of {value} is too high; maximum is {most}.")
    if value < least:
        raise Problem("InvalidParameterValue", f"Volume {what} of {value} is too low; minimum is {least}.")


def _too_high(what: str, ratio: float, most: str) -> None:
    raise Problem("InvalidParameterValue", f"{what} of {ratio:f} is too high; maximum is {most}")


def describe_volume_status(call: Call, scenario: Scenario) -> Answer:
    """Answer DescribeVolumeStatus, which moto lacks: how much of a volume is loaded from its snapshot."""
    volumes = backend(call.region).volumes
    named = call.values("VolumeId")
    if unknown := [identity for identity in named if identity not in volumes]:
        raise Problem("InvalidVolume.NotFound", f"The volume '{unknown[0]}' does not exist.")
    items = "".join(_status(volumes[identity], scenario) for identity in named or volumes)
    return xml_answer(call.action, f"<volumeStatusSet>{items}</volumeStatusSet>")


def _status(volume: Any, scenario: Scenario) -> str:
    loading = ""
    if volume.snapshot_id:
        age = (clock.now().replace(tzinfo=None) - volume.create_time).total_seconds()
        share = min(1.0, age / scenario.initialization_seconds) if scenario.initialization_seconds else 1.0
        loading = (
            "<initializationStatusDetails><initializationType>default</initializationType>"
            f"<progress>{int(share * 100)}</progress></initializationStatusDetails>"
        )
    return (
        f"<item><volumeId>{volume.id}</volumeId><availabilityZone>{volume.zone.name}</availabilityZone>"
        f"<volumeStatus><status>ok</status></volumeStatus>{loading}</item>"
    )
