"""How an instance's volume is named and described.

AWS and the kernel have device names, an instance an entry of /etc/ec2-lab/volumes.json, which mount-volumes reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ec2lab.errors import UserError

DEVICES = [f"/dev/sd{letter}" for letter in "fghijklmnop"]
"""The names recommended for data volumes (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html)."""


def letters_of(path: str) -> str:
    """Return the common part of a device name and the kernel's name for its disk on Xen: "f" of /dev/sdf and /dev/xvdf.

    Empty for any other name.
    """
    found = re.fullmatch(r"/dev/(?:sd|xvd)([a-z]{1,2})[0-9]*", path)
    return found[1] if found else ""


def free_device(instance: Mapping[str, Any]) -> str:
    """Return the first name that an instance does not use. Raises UserError where all are used."""
    taken = {mapping["DeviceName"] for mapping in instance.get("BlockDeviceMappings", ())}
    free = [device for device in DEVICES if device not in taken]
    if not free:
        raise UserError(f"{instance['InstanceId']}: has {len(DEVICES)} data volumes already; unmount one first")
    return free[0]


PROGRAM = "/opt/ec2-lab/mount-volumes"
VOLUMES = "/etc/ec2-lab/volumes.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSpec:
    """How a volume is found and mounted. None is left out."""

    mount: str
    source: Literal["ebs", "instance-store"] = "ebs"
    device: str | None = None  # the requested device name: /dev/sdf
    volume: str | None = None  # its id, if known already
    uuid: str | None = None  # the UUID of its file system
    read_only: bool | None = None
    format: str | None = None  # the file system to create on an empty disk; without it nothing is ever formatted
    owner: str | None = None
    mode: str | None = None
    options: Sequence[str] | None = None  # mount options, besides nosuid and nodev, which suid and dev revoke

    def as_dict(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value is not None}

    def as_json(self) -> str:
        return json.dumps(self.as_dict())
