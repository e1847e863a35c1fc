"""vCPU quotas, by the name of what counts against each.

https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES

from ec2lab.capacity_pools import quota_name
from local_cloud.lifecycle import backend
from local_cloud.responses import Problem

COUNTED = ("pending", "running")


def within(region: str, instance_type: str, market: str, least: int, most: int, quotas: Mapping[str, float]) -> int:
    """Return how many instances the quota allows, up to `most`. Raises Problem where they are too few."""
    name = quota_name(instance_type, market)
    if name is None or (limit := quotas.get(name)) is None:
        return most
    room = int((limit - _in_use(region, name)) // _vcpus(instance_type))
    if room >= least:
        return min(room, most)
    if market == "spot":
        raise Problem("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
    raise Problem(
        "VcpuLimitExceeded",
        f"You have requested more vCPU capacity than your current vCPU limit of {limit:.0f} allows for the instance "
        "bucket that the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request "
        "to request an adjustment to this limit.",
    )


def _in_use(region: str, name: str) -> int:
    every: list[Any] = [one for group in backend(region).all_reservations() for one in group.instances]
    return sum(
        _vcpus(one.instance_type)
        for one in every
        if one.state in COUNTED and quota_name(one.instance_type, one.lifecycle or "on-demand") == name
    )


def _vcpus(instance_type: str) -> int:
    return int(INSTANCE_TYPES[instance_type]["VCpuInfo"]["DefaultVCpus"])
