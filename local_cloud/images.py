"""The public images, and AWS's SSM parameters for them."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Any

from moto.ec2.models.amis import Ami
from moto.ssm import models as ssm

from local_cloud.lifecycle import backend
from local_cloud.request import ACCOUNT, Call
from local_cloud.responses import Answer, Problem
from local_cloud.volumes import too_small

DEEP_LEARNING = "898082745236"
CANONICAL = "099720109477"
AMAZON = "137112412989"
ROOTS = {DEEP_LEARNING: ("/dev/sda1", 75), CANONICAL: ("/dev/sda1", 8), AMAZON: ("/dev/xvda", 8)}
"""Owner -> root device, and GiB of the image's snapshot: the minimum of its root volume."""

IMAGES = {  # parameter -> owner and name of its image
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id":
        (DEEP_LEARNING, "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) 20261006"),
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id":
        (DEEP_LEARNING, "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 22.04) 20261006"),
    "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id":
        (CANONICAL, "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20261012"),
    "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64":
        (AMAZON, "al2023-ami-2023.9.20261005.0-kernel-6.1-x86_64"),
}  # fmt: skip

PUBLISHED = datetime(2026, 10, 12, tzinfo=UTC)
RESOLVE = "resolve:ssm:"
DATA_TYPE = "aws:ec2:image"
"""The data type of parameters that EC2 accepts as images
(https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-ec2-aliases.html)."""


def image_id(parameter: str, region: str) -> str:
    """Return an image's id: each region has its own, stable across starts."""
    return f"ami-{hashlib.sha256(f'{region} {parameter}'.encode()).hexdigest()[:17]}"


def seed_images(region: str) -> None:
    parameter: Any = ssm.Parameter
    for path, (owner, name) in IMAGES.items():
        identity = image_id(path, region)
        device, gib = ROOTS[owner]
        image = backend(region).amis[identity] = Ami(
            backend(region), identity, name=name, owner_id=owner, public=True, architecture="x86_64",
            virtualization_type="hvm", root_device_type="ebs", root_device_name=device,
            creation_date=PUBLISHED, region_name=f"{region}a",
        )  # fmt: skip
        image.ebs_snapshot.volume.size = gib
        _parameters(region)[path].append(
            parameter(
                account_id=ACCOUNT, name=path, value=identity, parameter_type="String", description=None,
                allowed_pattern=None, keyid=None, last_modified_date=PUBLISHED, version=1, data_type=DATA_TYPE,
            )
        )  # fmt: skip


def resolve(call: Call) -> None:
    """Replace `resolve:ssm:PARAMETER` by the image's id, and complete the root mapping."""
    image = call.params.get("ImageId", "")
    if image.startswith(RESOLVE):
        name = image.removeprefix(RESOLVE)
        versions = _parameters(call.region).get(name)
        if not versions:
            raise Problem("SsmInvalidParameter", f"The following aliases are invalid: {name}")
        if versions[-1].data_type != DATA_TYPE:
            raise Problem("SsmInvalidParameter", f"Unsupported data type: {versions[-1].data_type} ({name})")
        call.params["ImageId"] = versions[-1].value
    _complete_root(call)


def registered(call: Call, answer: Answer) -> None:
    """Let an image registered with a snapshot use that one; moto creates another."""
    named = [
        mapping["Ebs.SnapshotId"] for mapping in call.numbered("BlockDeviceMapping") if "Ebs.SnapshotId" in mapping
    ]
    found = re.search(rb"<imageId>(ami-[0-9a-f]+)<", answer.body)
    if named and found and answer.code is None:
        known = backend(call.region)
        image, snapshot = known.amis[found[1].decode()], known.snapshots[named[0]]
        image.ebs_snapshot, snapshot.from_ami = snapshot, image.id


def _complete_root(call: Call) -> None:
    """Give the root volume the image's size where the request names none, and add its mapping where that is missing."""
    image = backend(call.region).amis.get(call.params.get("ImageId", ""))
    if image is None:
        return
    gib = image.ebs_snapshot.volume.size
    mappings = call.numbered("BlockDeviceMapping")
    for number, mapping in enumerate(mappings, start=1):
        if mapping.get("DeviceName") == image.root_device_name:
            size = call.params.setdefault(f"BlockDeviceMapping.{number}.Ebs.VolumeSize", str(gib))
            if int(size) < gib:
                raise Problem("InvalidBlockDeviceMapping", too_small(int(size), image.ebs_snapshot))
            return
    root = f"BlockDeviceMapping.{len(mappings) + 1}"
    call.params |= {
        f"{root}.DeviceName": image.root_device_name,
        f"{root}.Ebs.VolumeSize": str(gib),
        f"{root}.Ebs.DeleteOnTermination": "true",
    }


def _parameters(region: str) -> Any:
    return ssm.ssm_backends[ACCOUNT][region]._parameters  # noqa: SLF001 - /aws/… can't be put through the API
