"""What things cost, from whatever knows prices: list prices, and what they make for one resource."""

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

HOURS = 730
"""In a month, where a price by the hour is told by the month, as AWS reckons (8,760 a year by 12)."""
FREE_IOPS, FREE_THROUGHPUT = 3000, 125
"""What a gp3 volume has without extra cost (https://aws.amazon.com/ebs/pricing/); of other types iops cost from the
first on, and throughput nothing."""
IO2_TIER1_IOPS = 32000
"""Operations a second of an io2 volume beyond which each costs less; how much less is not looked up."""
MIB_IN_GIB = 1024
"""Throughput is listed by GiB/s, and asked for in MiB/s."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Of when a price is, and who told it."""

    at: datetime
    source: str


class PriceSource(Protocol):
    """Whoever knows prices; any thread may ask."""

    def listed(self, wanted: Priced) -> Dollars:
        """Return a list price, or None where nobody knows it."""

    def prefetch_instances(self, region: str, types: Sequence[str]) -> None:
        """Look the list prices of many instance types up at once."""

    def spot(self, region: str, zone: str, instance_type: str, began: datetime, ended: datetime) -> SpotRate:
        """Return a zone's spot prices over a time, as far as they are known."""

    def spot_now(self, region: str, types: Sequence[str]) -> Mapping[str, float]:
        """Return the lowest present spot price of each type over a region's zones, dollars an hour."""

    def origins(self) -> Iterable[Origin]:
        """Return where each list price is from that was given."""

    def unknown(self) -> Iterable[Unavailable]:
        """Return which prices could not be asked for, and why."""


class PriceBook:
    """Prices of one run, each looked up when it is first wanted; any thread may ask. Unknown is None, never zero."""

    def __init__(self, source: PriceSource) -> None:
        self.source = source
        self._known: dict[Priced, Dollars] = {}
        self._lock = threading.Lock()

    def unknown(self) -> list[Unavailable]:
        """Return which prices could not be asked for, and why."""
        return list(self.source.unknown())

    def instance_hour(self, region: str, instance_type: str) -> Dollars:
        """Return what an on-demand instance costs an hour."""
        return self._listed(Unit.INSTANCE, region, instance_type)

    def prefetch_instances(self, region: str, types: Sequence[str]) -> None:
        """Look up what many on-demand instances cost an hour, in few requests."""
        with self._lock:
            self.source.prefetch_instances(region, types)

    def spot(self, region: str, zone: str, instance_type: str, began: datetime, ended: datetime) -> SpotRate:
        """Return what a spot instance costs an hour over a time."""
        with self._lock:
            return self.source.spot(region, zone, instance_type, began, ended)

    def spot_now(self, region: str, types: Sequence[str]) -> Mapping[str, float]:
        """Return what spot instances cost an hour now, each type in its cheapest zone."""
        with self._lock:
            return self.source.spot_now(region, types)

    def instance_rate(
        self, region: str, zone: str, instance_type: str, market: str, began: datetime, ended: datetime
    ) -> Rate:
        """Return what an instance costs while it runs."""
        if not instance_type:  # taken in by `make registry-rebuild`, and not described since
            return HourlyRate(None, "its type is not on record; `make status` asks AWS")
        match market:
            case "spot" if zone:
                return self.spot(region, zone, instance_type, began, ended)
            case "spot":
                return HourlyRate(None, "its zone is not on record; `make status` asks AWS")
            case "on-demand":
                return HourlyRate(self.instance_hour(region, instance_type), unlisted(instance_type, region))
        return HourlyRate(None, "a capacity block is paid for beforehand, by whoever bought it")

    def instance_month(self, region: str, zone: str, instance_type: str, market: str) -> Dollars:
        """Return what a running instance costs a month, as it is now."""
        now = clock.now()
        return times(self.instance_rate(region, zone, instance_type, market, now, now).hourly(now), HOURS)

    def address_hour(self, region: str, *, used: bool) -> Dollars:
        """Return what a public IPv4 address costs an hour; the same whether it is used or not, so far."""
        return self._listed(Unit.ADDRESS if used else Unit.IDLE_ADDRESS, region)

    def address(self, region: str, *, used: bool) -> Dollars:
        """Return what a public IPv4 address costs a month."""
        return times(self.address_hour(region, used=used), HOURS)

    def stored(self, region: str, gib: float) -> Dollars:
        """Return what a snapshot of so many GiB costs a month."""
        return times(self._listed(Unit.SNAPSHOT, region), gib)

    def fast_restore_hour(self, region: str) -> Dollars:
        """Return what fast restore of a snapshot in one zone costs an hour."""
        return self._listed(Unit.FAST_RESTORE, region)

    def initialization(self, region: str, gib: Dollars) -> Dollars:
        """Return what loading so many GiB of a snapshot at a provisioned rate costs; None GiB are not known."""
        return None if gib is None else times(self._listed(Unit.INITIALIZATION, region), gib)

    def volume(self, region: str, described: Mapping[str, Any]) -> Dollars:
        """Return what a volume costs a month: its size, and the iops and throughput beyond what comes with it."""
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
        with self._lock:  # held while asking: sixteen threads would ask for the same price at once
            if wanted not in self._known:
                self._known[wanted] = self.source.listed(wanted)
            return self._known[wanted]


class Unit(StrEnum):
    """What is paid for, and by which measure."""

    INSTANCE = "instance"
    """On-demand Linux, dollars an hour."""
    SIZE = "size"
    """Of a volume type, dollars a GiB and month."""
    IOPS = "iops"
    """Of a volume type, dollars an operation a second and month."""
    THROUGHPUT = "throughput"
    """Of a volume type, dollars a GiB/s and month."""
    SNAPSHOT = "snapshot"
    """Dollars a GiB and month, in the standard tier."""
    ADDRESS = "address"
    """A public IPv4 address in use, dollars an hour."""
    IDLE_ADDRESS = "idle-address"
    """One that is not in use, dollars an hour."""
    FAST_RESTORE = "fast-restore"
    """Of a snapshot in a zone, dollars a DSU-hour."""
    INITIALIZATION = "initialization"
    """At a provisioned rate, dollars a GiB of the snapshot."""


@dataclass(frozen=True, slots=True)
class Priced:
    """One thing with a list price."""

    unit: Unit
    region: str
    name: str = ""
    """The type of instance or volume; empty where there is only one."""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.unit, self.region, self.name)))


VOLUME_USAGE = {
    Unit.SIZE: "EBS:VolumeUsage", Unit.IOPS: "EBS:VolumeP-IOPS", Unit.THROUGHPUT: "EBS:VolumeP-Throughput",
}  # fmt: skip


def volume_usage(unit: Unit, kind: str) -> str:
    """Return AWS's usage type of what is paid for of a volume type, without the region in front.

    That of io2's iops means the first 32,000.
    """
    return VOLUME_USAGE[unit] + {"io1": ".piops", "standard": ""}.get(kind, f".{kind}")
