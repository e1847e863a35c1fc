"""What AWS rejects and moto accepts, checked before moto sees it, so that nothing is left behind."""

from __future__ import annotations

import base64
import binascii
import re

from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES
from moto.iam.models import iam_backends

from local_cloud.lifecycle import backend
from local_cloud.network_interfaces import check_interfaces
from local_cloud.request import ACCOUNT, Call
from local_cloud.responses import Problem
from local_cloud.state_checks import (
    check_attach_volume,
    check_delete_security_group,
    check_start_instances,
    check_stop_instances,
    check_terminate_instances,
)
from local_cloud.tags import check_tags
from local_cloud.volumes import check_volume

USER_DATA_LIMIT = 16384
"""Bytes, before base64: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html."""


def check(call: Call) -> None:
    check_tags(call)
    if call.action in CHECKS:
        CHECKS[call.action](call)


def check_run_instances(call: Call) -> None:
    _image(call)
    _instance_type(call)
    _counts(call)
    check_interfaces(call)
    _place(call)
    _user_data(call)
    _groups(call)
    _profile(call)
    _key_pair(call)
    _block_devices(call)


def check_create_volume(call: Call) -> None:
    if not (call.params.get("Size") or call.params.get("SnapshotId")):
        raise Problem("MissingParameter", "The request must contain the parameter size or snapshotId")
    check_volume(call.region, call.params, code="InvalidParameterValue")


def offered_zones(region: str, instance_type: str) -> list[str]:
    """Return the zones of a region that offer a type, by moto's copy of AWS's list."""
    offers = INSTANCE_TYPE_OFFERINGS["availability-zone"].get(region, [])
    return sorted(offer["Location"] for offer in offers if offer["InstanceType"] == instance_type)


def _image(call: Call) -> None:
    image = call.params.get("ImageId")
    if image is None:
        raise Problem("MissingParameter", "The request must contain the parameter ImageId")
    if not re.fullmatch(r"ami-[0-9a-f]{8,17}", image):
        raise Problem("InvalidAMIID.Malformed", f'Invalid id: "{image}" (expecting "ami-...")')
    if image not in backend(call.region).amis:
        raise Problem("InvalidAMIID.NotFound", f"The image id '[{image}]' does not exist")


def _instance_type(call: Call) -> None:
    if (name := call.params.get("InstanceType", "")) not in INSTANCE_TYPES:
        raise Problem("InvalidParameterValue", f"Invalid value '{name}' for InstanceType.")


def _counts(call: Call) -> None:
    least, most = (int(call.params.get(key, "1")) for key in ("MinCount", "MaxCount"))
    if not 1 <= least <= most:
        raise Problem("InvalidParameterValue", f"MinCount {least} and MaxCount {most}: 1 <= MinCount <= MaxCount")


def subnet(call: Call) -> str | None:
    """Return the subnet that a RunInstances request names, itself or for an interface."""
    of_interfaces = [interface.get("SubnetId") for interface in call.numbered("NetworkInterface")]
    return call.params.get("SubnetId") or next(filter(None, of_interfaces), None)


def _place(call: Call) -> None:
    zone = call.params.get("Placement.AvailabilityZone")
    if zone and zone not in [known.name for known in backend(call.region).describe_availability_zones()]:
        raise Problem("InvalidParameterValue", f"Invalid availability zone: [{zone}]")
    if named := subnet(call):
        backend(call.region).get_subnet(named)


def _user_data(call: Call) -> None:
    try:
        user_data = base64.b64decode(call.params.get("UserData", ""), validate=True)
    except binascii.Error:
        raise Problem("InvalidParameterValue", "Invalid BASE64 encoding of user data.") from None
    if len(user_data) > USER_DATA_LIMIT:
        raise Problem("InvalidParameterValue", f"User data is limited to {USER_DATA_LIMIT} bytes")


def _groups(call: Call) -> None:
    of_interfaces = [
        group
        for interface in call.numbered("NetworkInterface")
        for key, group in interface.items()
        if key.startswith("SecurityGroupId.")
    ]
    for group in [*call.values("SecurityGroupId"), *of_interfaces]:
        if backend(call.region).get_security_group_from_id(group) is None:
            raise Problem("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
    for name in call.values("SecurityGroup"):
        if backend(call.region).get_security_group_from_name(name) is None:
            raise Problem("InvalidGroup.NotFound", f"The security group '{name}' does not exist in default VPC")


def _profile(call: Call) -> None:
    name, arn = call.params.get("IamInstanceProfile.Name"), call.params.get("IamInstanceProfile.Arn")
    known = iam_backends[ACCOUNT]["aws"].get_instance_profiles() if name or arn else []
    if (name or arn) and not any(name == profile.name or arn == profile.arn for profile in known):
        key = "name" if name else "arn"
        raise Problem(
            "InvalidParameterValue", f"Value ({name or arn}) for parameter iamInstanceProfile.{key} is invalid."
        )


def _key_pair(call: Call) -> None:
    if (key := call.params.get("KeyName")) and key not in backend(call.region).key_pairs:
        raise Problem("InvalidKeyPair.NotFound", f"The key pair '{key}' does not exist")


def _block_devices(call: Call) -> None:
    mappings = call.numbered("BlockDeviceMapping")
    names = [mapping.get("DeviceName", "") for mapping in mappings]
    if not all(names):
        raise Problem("MissingParameter", "The request must contain the parameter deviceName")
    if len(set(names)) < len(names):
        twice = max(names, key=names.count)
        raise Problem(
            "InvalidBlockDeviceMapping", f"The device '{twice}' is used in more than one block-device mapping"
        )
    for mapping in mappings:
        volume = {key.removeprefix("Ebs."): value for key, value in mapping.items() if key.startswith("Ebs.")}
        if not volume:
            continue  # an instance store disk, or a suppressed device
        if not (volume.get("VolumeSize") or volume.get("SnapshotId")):
            raise Problem(
                "InvalidBlockDeviceMapping",
                f"Either snapshot ID or volume size must be provided for: {mapping['DeviceName']}",
            )
        check_volume(call.region, volume, code="InvalidBlockDeviceMapping")


CHECKS = {
    "RunInstances": check_run_instances,
    "CreateVolume": check_create_volume,
    "AttachVolume": check_attach_volume,
    "DeleteSecurityGroup": check_delete_security_group,
    "StartInstances": check_start_instances,
    "StopInstances": check_stop_instances,
    "TerminateInstances": check_terminate_instances,
}
