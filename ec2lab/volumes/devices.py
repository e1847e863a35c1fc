"""The device names that data volumes are asked for with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ec2lab.errors import UserError

DEVICES = [f"/dev/sd{letter}" for letter in "fghijklmnop"]
"""The names that AWS sets aside for data volumes
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html)."""


def letters_of(path: str) -> str:
    """Return what a device's name and the kernel's for its disk have in common on Xen: "f" of /dev/sdf and /dev/xvdf.

    Empty for any other name.
    """
    found = re.fullmatch(r"/dev/(?:sd|xvd)([a-z]{1,2})[0-9]*", path)
    return found[1] if found else ""


def free_device(instance: Mapping[str, Any]) -> str:
    """Return the first name that an instance has no volume under. Raises UserError where it has all."""
    taken = {mapping["DeviceName"] for mapping in instance.get("BlockDeviceMappings", ())}
    free = [device for device in DEVICES if device not in taken]
    if not free:
        raise UserError(f"{instance['InstanceId']}: has {len(DEVICES)} data volumes already; unmount one first")
    return free[0]
