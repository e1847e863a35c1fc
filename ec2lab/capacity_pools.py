"""What capacity is asked of: the markets that EC2 sells it in, and the pools that one request asks. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class MarketType(StrEnum):
    """How an instance is bought, in EC2's words (InstanceLifecycle); to EC2 a reservation's is an on-demand one."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"
    CAPACITY_BLOCK = "capacity-block"
    RESERVATION = "reservation"


@dataclass(frozen=True, slots=True)
class Market:
    """A market, and of reserved capacity which."""

    type: MarketType
    reservation: str = ""
    """Id of the Capacity Reservation or Capacity Block."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a market as an experiment writes it. Raises ValueError."""
        found = re.fullmatch(r"(on-demand|spot)|(reservation|capacity-block):(cr-[0-9a-z]+)", text)
        if not found:
            right = '"on-demand", "spot", "reservation:cr-…" or "capacity-block:cr-…"'
            message = f"{text!r} is not a market ({right})"
            raise ValueError(message)
        return cls(MarketType(found[1] or found[2]), found[3] or "")

    def __str__(self) -> str:
        return f"{self.type}:{self.reservation}" if self.reservation else self.type


ON_DEMAND, SPOT = Market(MarketType.ON_DEMAND), Market(MarketType.SPOT)


@dataclass(frozen=True, slots=True)
class Pool:
    """One place that an instance may come from: what one RunInstances call asks for."""

    region: str
    instance_type: str
    market: Market
    zone: str | None = None
    """None leaves the zone to EC2, which then looks in every zone of the region."""
    subnet: str | None = None
    """Set where the lab names subnets; it pins the zone as well."""

    def __str__(self) -> str:
        return f"{self.region}  {self.subnet or self.zone or 'any zone'}  {self.instance_type}  {self.market}"


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
