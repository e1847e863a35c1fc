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
