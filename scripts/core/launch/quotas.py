"""How many vCPUs of a family this account may run, by Service Quotas."""

from __future__ import annotations

import re
from collections.abc import Mapping

from botocore.exceptions import BotoCoreError, ClientError

from scripts.core.aws.cloud import Cloud
from scripts.core.capacity.capacity import Pool
from scripts.core.capacity.refusals import quota_family


def quotas(cloud: Cloud, region: str) -> Mapping[str, float]:
    """Return EC2's quotas in a region, by name; empty where they may not be read."""
    pages = cloud.client("service-quotas", region).get_paginator("list_service_quotas")
    try:
        return {q["QuotaName"]: q["Value"] for page in pages.paginate(ServiceCode="ec2") for q in page["Quotas"]}
    except (ClientError, BotoCoreError):
        return {}


def virtual_cpus(cloud: Cloud, region: str, types: list[str]) -> Mapping[str, int]:
    """Return the vCPUs of each type that a region knows."""
    pages = cloud.ec2(region).get_paginator("describe_instance_types")
    wanted = [{"Name": "instance-type", "Values": types}]
    found = [t for page in pages.paginate(Filters=wanted) for t in page["InstanceTypes"]]  # type: ignore[arg-type]
    return {str(t["InstanceType"]): t["VCpuInfo"]["DefaultVCpus"] for t in found}


def quota_for(pool: Pool, known: Mapping[str, float]) -> tuple[str, float] | None:
    """Return name and value of the quota that a pool counts against, or None where it is not known.

    Service Quotas names them `Running On-Demand P instances` and `All P5 Spot Instance Requests`: spot splits some
    families by generation (https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html).
    """
    if pool.market not in ("on-demand", "spot"):
        return None
    ending = "Spot Instance Requests" if pool.market == "spot" else "instances"
    for name, value in known.items():
        if name.endswith(ending) and _families_in(name) & {quota_family(pool.instance_type), _generation(pool)}:
            return name, value
    return None


def _families_in(name: str) -> set[str]:
    """Return the families that a quota's name speaks of: {"P4", "P3", "P2"}, {"G and VT"}, {"Standard"}."""
    middle = re.sub(r"^(Running On-Demand|All) | (instances|Spot Instance Requests)$| \(.*\)", "", name)
    return {"G and VT"} if middle == "G and VT" else set(re.split(r", | and ", middle))


def _generation(pool: Pool) -> str:
    found = re.match(r"[a-z]+\d", pool.instance_type)
    return found[0].upper() if found else ""
