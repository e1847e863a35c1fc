"""Markets and capacity pools: what a request for capacity addresses. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class MarketType(StrEnum):
    """How an instance is bought, in EC2's terms (InstanceLifecycle); to EC2 a reservation's is on-demand."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"
    CAPACITY_BLOCK = "capacity-block"
    RESERVATION = "reservation"


@dataclass(frozen=True, slots=True)
class Market:
    """A market and, for reserved capacity, which reservation."""

    type: MarketType
    reservation: str = ""  # id of the Capacity Reservation or Capacity Block

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a market as in experiment files. Raises ValueError."""
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
    """What one RunInstances call addresses: region, zone, type and market."""

    region: str
    instance_type: str
    market: Market
    zone: str | None = None  # None leaves the zone to EC2, which tries every zone of the region
    subnet: str | None = None  # set where the lab names subnets; it implies the zone

    def __str__(self) -> str:
        return f"{self.region}  {self.subnet or self.zone or 'any zone'}  {self.instance_type}  {self.market}"
