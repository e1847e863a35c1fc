"""vCPU quotas of the account, from Service Quotas."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress

from ec2lab.aws.cloud import Cloud
from ec2lab.aws.errors import AWS_ERRORS
from ec2lab.capacity_pools import MarketType
from ec2lab.quota_names import generation, quota_name

COUNTED = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
"""Stopped instances do not count against vCPU quotas."""


def quotas(cloud: Cloud, region: str) -> Mapping[str, float]:
    """Return EC2's quotas in a region, by name; an empty mapping if the applied ones cannot be read."""
    try:
        return read_quotas(cloud, region)
    except AWS_ERRORS:
        return {}


def read_quotas(cloud: Cloud, region: str) -> Mapping[str, float]:
    """Return EC2's quotas by name: AWS's defaults, and the applied ones. Raises AWS_ERRORS if those cannot be read."""
    applied = _listed(cloud, region, "list_service_quotas")
    defaults: Mapping[str, float] = {}
    with suppress(*AWS_ERRORS):  # the applied ones are useful without the defaults
        defaults = _listed(cloud, region, "list_aws_default_service_quotas")
    return {**defaults, **applied}


def _listed(cloud: Cloud, region: str, operation: str) -> dict[str, float]:
    pages = cloud.client("service-quotas", region).get_paginator(operation)
    return {q["QuotaName"]: q["Value"] for page in pages.paginate(ServiceCode="ec2") for q in page["Quotas"]}


def virtual_cpus(cloud: Cloud, region: str, types: list[str]) -> Mapping[str, int]:
    pages = cloud.ec2(region).get_paginator("describe_instance_types")
    wanted = [{"Name": "instance-type", "Values": types}]
    found = [t for page in pages.paginate(Filters=wanted) for t in page["InstanceTypes"]]  # type: ignore[arg-type]
    return {str(t["InstanceType"]): t["VCpuInfo"]["DefaultVCpus"] for t in found}


def vcpus_in_use(cloud: Cloud, region: str, allowed: Mapping[str, float]) -> Mapping[str, float]:
    """Return, by quota, how many vCPUs run now, whoever's they are. Raises AWS_ERRORS."""
    pages = cloud.ec2(region).get_paginator("describe_instances").paginate(Filters=COUNTED)  # type: ignore[arg-type]
    running = [one for page in pages for group in page["Reservations"] for one in group["Instances"]]
    sizes = virtual_cpus(cloud, region, sorted({one["InstanceType"] for one in running})) if running else {}
    used: dict[str, float] = {}
    for one in running:
        counted = quota_of(one["InstanceType"], one.get("InstanceLifecycle", MarketType.ON_DEMAND), allowed)
        if counted:
            used[counted[0]] = used.get(counted[0], 0) + sizes.get(one["InstanceType"], 0)
    return used


def quota_of(instance_type: str, market: str, known: Mapping[str, float]) -> tuple[str, float] | None:
    """Return name and value of an instance's quota, of spot one that names its generation; None if unknown."""
    if market not in (MarketType.ON_DEMAND, MarketType.SPOT):
        return None
    name = quota_name(instance_type, market) or (_naming(instance_type, known) if market == MarketType.SPOT else "")
    return (name, known[name]) if name in known else None


def _naming(instance_type: str, known: Mapping[str, float]) -> str:
    wanted = generation(instance_type).upper()
    spot = (name for name in known if name.endswith("Spot Instance Requests"))
    return next((name for name in spot if wanted in re.findall(r"\w+", name)), "")
