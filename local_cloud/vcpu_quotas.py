"""vCPU quotas, by the name of what counts against each.

https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
"""

from __future__ import annotations

from collections.abc import Mapping

from moto.ec2.models.instance_types import INSTANCE_TYPES

from ec2lab.quota_names import quota_name
from local_cloud.lifecycle import instances_in
from local_cloud.placement import OVER_QUOTA, PlacementRequest
from local_cloud.responses import Problem

COUNTED = ("pending", "running")


def within(wanted: PlacementRequest, quotas: Mapping[str, float]) -> int:
    """Return how many instances the quota allows, up to `most`. Raises Problem where they are too few."""
    name = quota_name(wanted.instance_type, wanted.market)
    if name is None or (limit := quotas.get(name)) is None:
        return wanted.most
    room = int((limit - _in_use(wanted.region, name)) // _vcpus(wanted.instance_type))
    if room >= wanted.least:
        return min(room, wanted.most)
    if wanted.market == "spot":
        raise Problem("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
    raise Problem("VcpuLimitExceeded", OVER_QUOTA.format(limit))


def _in_use(region: str, name: str) -> int:
    return sum(
        _vcpus(one.instance_type)
        for one in instances_in(region)
        if one.state in COUNTED and quota_name(one.instance_type, one.lifecycle or "on-demand") == name
    )


def _vcpus(instance_type: str) -> int:
    return int(INSTANCE_TYPES[instance_type]["VCpuInfo"]["DefaultVCpus"])
