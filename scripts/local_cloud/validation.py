"""What AWS refuses of a request and moto accepts, checked before moto sees it, so that nothing is left behind."""

from __future__ import annotations

import base64
import re
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES

from scripts.local_cloud.answers import Problem
from scripts.local_cloud.call import Call
from scripts.local_cloud.machines import ENDED, backend

USER_DATA_LIMIT = 16384
TAG_LIMITS = {"count": 50, "key": 128, "value": 256}
VOLUME_LIMITS = {
    "gp3": {"Iops": (3000, 80000), "Throughput": (125, 2000)},
    "io1": {"Iops": (100, 64000)},
    "io2": {"Iops": (100, 256000)},
}
"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsBlockDevice.html."""
INITIALIZATION_RATE = (100, 300)


def check(call: Call) -> None:
    """Raise the Problem that AWS would answer."""
    check_tags(call)
    if call.action in CHECKS:
        CHECKS[call.action](call)


def check_tags(call: Call) -> None:
    """Check every tag that a call would put on."""
    for specification in [*call.numbered("TagSpecification"), call.params]:
        keys = {key: value for key, value in specification.items() if re.fullmatch(r"Tag\.\d+\.Key", key)}
        if len(keys) > TAG_LIMITS["count"]:
            raise Problem("TagLimitExceeded", "More than 50 tags specified")
        for position, key in keys.items():
            value = specification.get(position.removesuffix("Key") + "Value", "")
            if key.lower().startswith("aws:"):
                raise Problem(
                    "InvalidParameterValue", f"Tag keys starting with 'aws:' are reserved for internal use: {key}"
                )
            if not 0 < len(key) <= TAG_LIMITS["key"] or len(value) > TAG_LIMITS["value"]:
                raise Problem("InvalidParameterValue", f"Tag key or value exceeds the maximum length: {key[:40]}")


def check_run_instances(call: Call) -> None:
    """Check a RunInstances request."""
    _image(call)
    _instance_type(call)
    _user_data(call)
    _groups_and_key(call)
    _block_devices(call)


def offered_zones(region: str, instance_type: str) -> list[str]:
    """Return the zones of a region that offer a type, by moto's copy of AWS's own list."""
    offers = INSTANCE_TYPE_OFFERINGS["availability-zone"].get(region, [])
    return sorted(offer["Location"] for offer in offers if offer["InstanceType"] == instance_type)


def _image(call: Call) -> None:
    image = call.params.get("ImageId", "")
    if not re.fullmatch(r"ami-[0-9a-f]{8,17}", image):
        raise Problem("InvalidAMIID.Malformed", f'Invalid id: "{image}" (expecting "ami-...")')
    if image not in backend(call.region).amis:
        raise Problem("InvalidAMIID.NotFound", f"The image id '[{image}]' does not exist")


def _instance_type(call: Call) -> None:
    if (name := call.params.get("InstanceType", "")) not in INSTANCE_TYPES:
        raise Problem("InvalidParameterValue", f"Invalid value '{name}' for InstanceType.")


def _user_data(call: Call) -> None:
    if len(base64.b64decode(call.params.get("UserData", ""))) > USER_DATA_LIMIT:
        raise Problem("InvalidParameterValue", "User data is limited to 16384 bytes")


def _groups_and_key(call: Call) -> None:
    for group in call.values("SecurityGroupId"):
        if backend(call.region).get_security_group_from_id(group) is None:
            raise Problem("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
    if (key := call.params.get("KeyName")) and key not in backend(call.region).key_pairs:
        raise Problem("InvalidKeyPair.NotFound", f"The key pair '{key}' does not exist")


def _block_devices(call: Call) -> None:
    mappings = call.numbered("BlockDeviceMapping")
    names = [mapping["DeviceName"] for mapping in mappings]
    if len(set(names)) < len(names):
        raise Problem(
            "InvalidBlockDeviceMapping",
            f"The device '{max(names, key=names.count)}' is used in more than one block-device mapping",
        )
    for mapping in mappings:
        volume = {key.removeprefix("Ebs."): value for key, value in mapping.items() if key.startswith("Ebs.")}
        check_volume(call, volume)


def check_volume(call: Call, volume: dict[str, str]) -> None:
    """Check the members of a volume, of RunInstances or of CreateVolume."""
    snapshot = _snapshot(call, volume.get("SnapshotId"))
    size = volume.get("VolumeSize") or volume.get("Size")
    least = snapshot.volume.size if snapshot is not None else 0
    if size and int(size) < int(least):
        raise Problem(
            "InvalidBlockDeviceMapping",
            f"Volume of size {size}GB is smaller than snapshot '{snapshot.id}', expect size >= {least}GB",
        )
    if snapshot is None and not size:
        raise Problem("MissingParameter", "The request must contain the parameter size or snapshotId")
    if snapshot is not None and snapshot.encrypted and volume.get("Encrypted") == "false":
        raise Problem("InvalidParameterDependency", "The parameter Encrypted can't be false for an encrypted snapshot")
    _limits(volume, has_snapshot=snapshot is not None)


def _snapshot(call: Call, identity: str | None) -> Any:
    if identity is None:
        return None
    snapshot = backend(call.region).snapshots.get(identity)
    if snapshot is None:
        raise Problem("InvalidSnapshot.NotFound", f"The snapshot '{identity}' does not exist.")
    if snapshot.status != "completed":
        raise Problem("IncorrectState", f"Snapshot is in invalid state - {snapshot.status}")
    return snapshot


def _limits(volume: dict[str, str], *, has_snapshot: bool) -> None:
    limits = VOLUME_LIMITS.get(volume.get("VolumeType", "gp2"), {})
    for key in ("Iops", "Throughput"):
        if (value := volume.get(key)) is None:
            continue
        if key not in limits:
            raise Problem(
                "InvalidParameterCombination",
                f"The parameter {key} is not supported for {volume.get('VolumeType', 'gp2')} volumes.",
            )
        least, most = limits[key]
        if not least <= int(value) <= most:
            raise Problem("InvalidParameterValue", f"Volume {key} of {value} is not in the range {least} to {most}.")
    if rate := volume.get("VolumeInitializationRate"):
        least, most = INITIALIZATION_RATE
        if not has_snapshot or not least <= int(rate) <= most:
            raise Problem("InvalidParameterCombination", "VolumeInitializationRate: 100 to 300, with a snapshot only")


def check_attach_volume(call: Call) -> None:
    """Refuse to attach across zones, or to what is dead."""
    instance = backend(call.region).get_instance(call.params["InstanceId"])
    volume = backend(call.region).get_volume(call.params["VolumeId"])
    if instance.state in ENDED:
        raise Problem("IncorrectState", f"Instance '{instance.id}' is not 'running' or 'stopped'.")
    if volume.zone.name != instance.availability_zone:
        raise Problem(
            "InvalidVolume.ZoneMismatch",
            f"The volume '{volume.id}' is not in the same availability zone as instance '{instance.id}'",
        )


def check_start_instances(call: Call) -> None:
    """Refuse to start what is not stopped."""
    for identity in call.values("InstanceId"):
        instance = backend(call.region).get_instance(identity)
        if instance.state not in ("stopped", "running", "pending"):
            raise Problem(
                "IncorrectInstanceState", f"The instance '{identity}' is not in a state from which it can be started."
            )


CHECKS = {
    "RunInstances": check_run_instances,
    "CreateVolume": lambda call: check_volume(call, call.params),
    "AttachVolume": check_attach_volume,
    "StartInstances": check_start_instances,
}
