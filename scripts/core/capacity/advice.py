"""What would help a search that found nothing. Pure."""

from __future__ import annotations

from scripts.core.capacity.capacity import Pool, Search
from scripts.core.capacity.refusals import Meaning, Refusal, quota_family


def advice(search: Search, experiment: str) -> list[str]:
    """Return what the user can do about each sort of refusal, once each."""
    lines = [line for pool, refusal in search.refusals.items() if (line := _about(pool, refusal))]
    if any(refusal.meaning is Meaning.POOL_EMPTY for refusal in search.refusals.values()):
        lines.append(
            f"let experiments/{experiment}.toml take more types, markets or regions, "
            'or go on asking for longer (retry_for = "6h")'
        )
    return list(dict.fromkeys(lines))


def _about(pool: Pool, refusal: Refusal) -> str | None:
    match refusal.meaning:
        case Meaning.QUOTA:
            return f"ask AWS for a higher quota: {quota_name(pool)}, in {pool.region} (Service Quotas, Amazon EC2)"
        case Meaning.NOT_IN_REGION:
            return f"leave {pool.instance_type} out, or add a region that offers it: {pool.region} does not"
    return None


def quota_name(pool: Pool) -> str:
    """Return the name that Service Quotas gives the vCPU quota that a pool counts against
    (https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html).
    """  # noqa: D205
    family = quota_family(pool.instance_type)
    shown = "Standard (A, C, D, H, I, M, R, T, Z)" if family == "Standard" else family
    if pool.market == "spot":
        return f"All {shown} Spot Instance Requests"
    return f"Running On-Demand {shown} instances"
