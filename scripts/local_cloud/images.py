"""The public images, and the SSM parameters that AWS keeps for them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from moto.ec2.models.amis import Ami
from moto.ssm.models import Parameter, ssm_backends

from scripts.local_cloud.answers import Problem
from scripts.local_cloud.call import ACCOUNT, Call
from scripts.local_cloud.machines import backend

DEEP_LEARNING = "898082745236"
CANONICAL = "099720109477"
ROOT_GIB = 75
MADE = datetime(2026, 10, 12, tzinfo=UTC)

IMAGES = {
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id":
        (DEEP_LEARNING, "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) 20261006"),
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id":
        (DEEP_LEARNING, "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 22.04) 20261006"),
    "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id":
        (CANONICAL, "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20261012"),
}  # fmt: skip
"""Parameter -> owner and name of its image."""

RESOLVE = "resolve:ssm:"


def image_id(parameter: str, region: str) -> str:
    """Return the id of an image: each region has its own, the same at every start."""
    return f"ami-{hashlib.sha256(f'{region} {parameter}'.encode()).hexdigest()[:17]}"


def seed_images(region: str) -> None:
    """Put the public images and their parameters into a region."""
    for parameter, (owner, name) in IMAGES.items():
        identity = image_id(parameter, region)
        backend(region).amis[identity] = Ami(
            backend(region), identity, name=name, owner_id=owner, public=True, architecture="x86_64",
            virtualization_type="hvm", root_device_type="ebs", root_device_name="/dev/sda1",
            creation_date=MADE, region_name=f"{region}a",
        )  # fmt: skip
        _parameters(region)[parameter].append(
            Parameter(  # type: ignore[abstract]  # moto makes it so itself
                account_id=ACCOUNT, name=parameter, value=identity, parameter_type="String", description=None,
                allowed_pattern=None, keyid=None, last_modified_date=MADE, version=1, data_type="aws:ec2:image",
            )
        )  # fmt: skip


def resolve(call: Call) -> None:
    """Put the image's id in the place of `resolve:ssm:PARAMETER`, and make the root mapping whole."""
    image = call.params.get("ImageId", "")
    if image.startswith(RESOLVE):
        name = image.removeprefix(RESOLVE)
        versions = _parameters(call.region).get(name)
        if not versions:
            raise Problem(
                "InvalidParameterValue", f"Invalid value '{image}' for ImageId: the parameter does not exist."
            )
        call.params["ImageId"] = versions[-1].value
    _complete_root(call)


def _complete_root(call: Call) -> None:
    """Give the root volume the image's size where the request names none, and its mapping where that is missing."""
    image = backend(call.region).amis.get(call.params["ImageId"])
    if image is None:
        return
    mappings = call.numbered("BlockDeviceMapping")
    for number, mapping in enumerate(mappings, start=1):
        if mapping["DeviceName"] == image.root_device_name:
            call.params.setdefault(f"BlockDeviceMapping.{number}.Ebs.VolumeSize", str(ROOT_GIB))
            return
    root = f"BlockDeviceMapping.{len(mappings) + 1}"
    call.params |= {
        f"{root}.DeviceName": image.root_device_name,
        f"{root}.Ebs.VolumeSize": str(ROOT_GIB),
        f"{root}.Ebs.DeleteOnTermination": "true",
    }


def _parameters(region: str) -> Any:
    return ssm_backends[ACCOUNT][region]._parameters  # noqa: SLF001 - /aws/… can't be put through the API
