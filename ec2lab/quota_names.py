"""The names of vCPU quotas, by instance type and market. Pure.

https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
"""

from __future__ import annotations

import re

from ec2lab.capacity_pools import MarketType

STANDARD = "Standard (A, C, D, H, I, M, R, T, Z)"
FAMILIES = {  # families with a quota of their own, by the letters that a type begins with
    "dl": "DL", "f": "F", "g": "G and VT", "gr": "G and VT", "vt": "G and VT", "u": "High Memory", "hpc": "HPC",
    "inf": "Inf", "p": "P", "trn": "Trn", "x": "X",
}  # fmt: skip
SPOT_P = {"p2": "P4, P3 and P2", "p3": "P4, P3 and P2", "p4": "P4, P3 and P2", "p5": "P5"}
"""Spot splits one family by generation. Generations that AWS does not list are missing here."""
ON_DEMAND_ONLY = ("High Memory", "HPC")


def _family(instance_type: str) -> str | None:
    """Return the family in the name of an instance type's quota; None where AWS lists none."""
    letters = re.match(r"[a-z]+", instance_type)
    if letters is None:
        return None
    if letters[0] in FAMILIES:
        return FAMILIES[letters[0]]
    return STANDARD if letters[0][0] in "acdhimrtz" and letters[0] != "mac" else None


def quota_name(instance_type: str, market: str) -> str | None:
    """Return the name of an instance's vCPU quota; None where it is not known.

    Instances in a Capacity Reservation count as On-Demand; those in a Capacity Block count against no vCPU quota.
    """
    found = _family(instance_type)
    if found is None or market == MarketType.CAPACITY_BLOCK:
        return None
    if market != MarketType.SPOT:
        return f"Running On-Demand {found} instances"
    if found == "P":
        found = SPOT_P.get(generation(instance_type))
    return None if found is None or found in ON_DEMAND_ONLY else f"All {found} Spot Instance Requests"


def generation(instance_type: str) -> str:
    """Return `p4` for `p4d.24xlarge`."""
    found = re.match(r"[a-z]+\d*", instance_type)
    return found[0] if found else instance_type


def quota_key(instance_type: str, market: str) -> str:
    """Return a key that distinguishes quotas: the name, or a group that certainly shares one."""
    return quota_name(instance_type, market) or f"{generation(instance_type)} {market}"
