"""Prices of resources, computed from list prices of any source."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from ec2lab import clock
from ec2lab.costs.money import Dollars, times, total
from ec2lab.costs.rates import HourlyRate, Rate, SpotRate, unlisted
from ec2lab.events import Unavailable

HOURS = 730  # hours in a month, as AWS counts them (8,760 a year divided by 12)
FREE_IOPS, FREE_THROUGHPUT = 3000, 125
"""Included in a gp3 volume (https://aws.amazon.com/ebs/pricing/); other types pay for all iops, and nothing for
throughput."""
IO2_TIER1_IOPS = 32000  # iops of an io2 volume beyond which each costs less; the lower price is not looked up
MIB_IN_GIB = 1024  # throughput is listed per GiB/s, and requested in MiB/s


@dataclass(frozen=True, slots=True)
class Origin:
    """The date and source of a price."""

    at: datetime
    source: str


class PriceSource(Protocol):
    """A source of prices; thread-safe."""

    def listed(self, wanted: Priced) -> Dollars:
        """Return a list price, or None."""

    def prefetch_instances(self, region: str, types: Sequence[str]) -> None:
        """Look the list prices of many instance types up at once."""

    def spot(self, region: str, zone: str, instance_type: str, began: datetime, ended: datetime) -> SpotRate:
        """Return a zone's spot prices over a period, as far as they are known."""

    def spot_now(self, region: str, types: Sequence[str]) -> Mapping[str, float]:
        """Return the lowest current spot price of each type over a region's zones, dollars an hour."""

    def origins(self) -> Iterable[Origin]:
        """Return the origin of each list price returned so far."""

    def unknown(self) -> Iterable[Unavailable]:
        """Return the prices that could not be obtained, with reasons."""


class PriceBook:
    """The prices of one run, looked up on first use; thread-safe. Unknown is None, never zero."""

    def __init__(self, source: PriceSource) -> None:
        self.source = source
        self._known: dict[Priced, Dollars] = {}
        self._lock = threading.Lock()

    def unknown(self) -> list[Unavailable]:
        return list(self.source.unknown())

    def instance_hour(self, region: str, instance_type: str) -> Dollars:
        return self._listed(Unit.INSTANCE, region, instance_type)

    def prefetch_instances(self, region: str, types: Sequence[str]) -> None:
        """Look up what many on-demand instances cost an hour, in few requests."""
        with self._lock:
            self.source.prefetch_instances(region, types)

    def spot(self, region: str, zone: str, instance_type: str, began: datetime, ended: datetime) -> SpotRate:
        with self._lock:
            return self.source.spot(region, zone, instance_type, began, ended)

    def spot_now(self, region: str, types: Sequence[str]) -> Mapping[str, float]:
        """Return current hourly spot prices, each type in its cheapest zone."""
        with self._lock:
            return self.source.spot_now(region, types)

    def instance_rate(
        self, region: str, zone: str, instance_type: str, market: str, began: datetime, ended: datetime
    ) -> Rate:
        """Return the rate of a running instance."""
        if not instance_type:  # imported by `make registry-rebuild`, and not described since
            return HourlyRate(None, "its type is not recorded; `make status` asks AWS")
        match market:
            case "spot" if zone:
                return self.spot(region, zone, instance_type, began, ended)
            case "spot":
                return HourlyRate(None, "its zone is not recorded; `make status` asks AWS")
            case "on-demand":
                return HourlyRate(self.instance_hour(region, instance_type), unlisted(instance_type, region))
        return HourlyRate(None, "a capacity block is paid for in advance")

    def instance_month(self, region: str, zone: str, instance_type: str, market: str) -> Dollars:
        """Return the monthly cost of a running instance as it is now."""
        now = clock.now()
        return times(self.instance_rate(region, zone, instance_type, market, now, now).hourly(now), HOURS)

    def address_hour(self, region: str, *, used: bool) -> Dollars:
        """Return the hourly price of a public IPv4 address, currently the same in use or not."""
        return self._listed(Unit.ADDRESS if used else Unit.IDLE_ADDRESS, region)

    def address(self, region: str, *, used: bool) -> Dollars:
        """Return the monthly cost of a public IPv4 address."""
        return times(self.address_hour(region, used=used), HOURS)

    def stored(self, region: str, gib: float) -> Dollars:
        """Return the monthly cost of a snapshot of that many GiB."""
        return times(self._listed(Unit.SNAPSHOT, region), gib)

    def fast_restore_hour(self, region: str) -> Dollars:
        return self._listed(Unit.FAST_RESTORE, region)

    def initialization(self, region: str, gib: Dollars) -> Dollars:
        """Return the cost of initializing that many GiB from a snapshot at a provisioned rate; unknown for None."""
        return None if gib is None else times(self._listed(Unit.INITIALIZATION, region), gib)

    def volume(self, region: str, described: Mapping[str, Any]) -> Dollars:
        """Return the monthly cost of a volume: size, and iops and throughput beyond what is included."""
        kind = described["VolumeType"]
        iops, throughput = described.get("Iops") or 0, described.get("Throughput") or 0
        beyond = max(0, iops - FREE_IOPS) if kind == "gp3" else iops if kind in ("io1", "io2") else 0
        faster = max(0, throughput - FREE_THROUGHPUT) if kind == "gp3" else 0
        if kind == "io2" and beyond > IO2_TIER1_IOPS:
            return None
        parts = [
            times(self._listed(Unit.SIZE, region, kind), described["Size"]),
            times(self._listed(Unit.IOPS, region, kind), beyond) if beyond else 0.0,
            times(self._listed(Unit.THROUGHPUT, region, kind), faster / MIB_IN_GIB) if faster else 0.0,
        ]
        return total(parts)

    def _listed(self, unit: Unit, region: str, name: str = "") -> Dollars:
        wanted = Priced(unit, region, name)
        with self._lock:  # held during the lookup: sixteen threads would look up the same price
            if wanted not in self._known:
                self._known[wanted] = self.source.listed(wanted)
            return self._known[wanted]


class Unit(StrEnum):
    """What a price is for, and its unit."""

    INSTANCE = "instance"
    """On-demand Linux, dollars an hour."""
    SIZE = "size"
    """Of a volume type, dollars per GiB-month."""
    IOPS = "iops"
    """Of a volume type, dollars per iops-month."""
    THROUGHPUT = "throughput"
    """Of a volume type, dollars per GiB/s-month."""
    SNAPSHOT = "snapshot"
    """Dollars per GiB-month, in the standard tier."""
    ADDRESS = "address"
    """A public IPv4 address in use, dollars an hour."""
    IDLE_ADDRESS = "idle-address"
    """A public IPv4 address not in use, dollars an hour."""
    FAST_RESTORE = "fast-restore"
    """Of a snapshot in a zone, dollars per DSU-hour."""
    INITIALIZATION = "initialization"
    """At a provisioned rate, dollars per GiB of the snapshot."""


@dataclass(frozen=True, slots=True)
class Priced:
    """An item with a list price."""

    unit: Unit
    region: str
    name: str = ""  # the type of instance or volume; empty where there is only one

    def __str__(self) -> str:
        return " ".join(filter(None, (self.unit, self.region, self.name)))


VOLUME_USAGE = {
    Unit.SIZE: "EBS:VolumeUsage", Unit.IOPS: "EBS:VolumeP-IOPS", Unit.THROUGHPUT: "EBS:VolumeP-Throughput",
}  # fmt: skip


def volume_usage(unit: Unit, kind: str) -> str:
    """Return AWS's usage type for a volume type, without the region's prefix.

    io2's iops means the first 32,000.
    """
    return VOLUME_USAGE[unit] + {"io1": ".piops", "standard": ""}.get(kind, f".{kind}")
