"""Which vCPU quota an instance counts against, by the name that Service Quotas gives it. Pure.

https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html and
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html list them.
"""

from __future__ import annotations

import re

from ec2lab.capacity_pools import MarketType

STANDARD = "Standard (A, C, D, H, I, M, R, T, Z)"
FAMILIES = {
    "dl": "DL", "f": "F", "g": "G and VT", "gr": "G and VT", "vt": "G and VT", "u": "High Memory", "hpc": "HPC",
    "inf": "Inf", "p": "P", "trn": "Trn", "x": "X",
}  # fmt: skip
"""The families with a quota of their own, by the letters that a type begins with."""
SPOT_P = {"p2": "P4, P3 and P2", "p3": "P4, P3 and P2", "p4": "P4, P3 and P2", "p5": "P5"}
"""Spot splits one family by generation. A generation that AWS does not list has no name here."""
ON_DEMAND_ONLY = ("High Memory", "HPC")


def family(instance_type: str) -> str | None:
    """Return the family that an instance type's quota is named after; None where AWS lists none."""
    letters = re.match(r"[a-z]+", instance_type)
    if letters is None:
        return None
    if letters[0] in FAMILIES:
        return FAMILIES[letters[0]]
    return STANDARD if letters[0][0] in "acdhimrtz" and letters[0] != "mac" else None


def quota_name(instance_type: str, market: str) -> str | None:
    """Return the name of the vCPU quota that an instance counts against; None where no name is known.

    Instances in a Capacity Reservation count as On-Demand; those of a Capacity Block count against no vCPU quota.
    """
    found = family(instance_type)
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
    """Return what tells quotas apart: the name, or where none is known what surely counts together."""
    return quota_name(instance_type, market) or f"{generation(instance_type)} {market}"
