"""What things cost a month, asked of AWS once each: list prices, and what they make for one resource."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from scripts.core import prices
from scripts.core.cloud import Cloud
from scripts.core.prices import Dollars

HOURS = 730
"""In a month, as AWS reckons (8,760 a year by 12)."""
FREE_IOPS, FREE_THROUGHPUT = 3000, 125
"""What a gp3 volume has without extra cost (https://aws.amazon.com/ebs/pricing/); of other types iops cost from the
first on, and throughput nothing."""
MIB_IN_GIB = 1024
"""Throughput is listed by GiB/s, and asked for in MiB/s."""


class PriceBook:
    """Prices of one run, looked up when first wanted; any thread may ask. Unknown is None, never zero."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._known: dict[tuple[str, ...], Dollars] = {}
        self._lock = threading.Lock()

    def machine(self, region: str, instance_type: str, market: str) -> Dollars:
        """Return what a running machine costs a month."""
        if market == "spot":
            key = ("spot", region, instance_type)
            hourly = self._once(key, lambda: prices.spot(self.cloud, region, [instance_type]).get(instance_type))
        else:
            key = ("on-demand", region, instance_type)
            hourly = self._once(key, lambda: prices.on_demand(self.cloud, region, instance_type))
        return times(hourly, HOURS)

    def address(self, region: str, *, used: bool) -> Dollars:
        """Return what a public IPv4 address costs a month; the same whether it is used or not, so far."""
        hourly = self._once(("address", region, str(used)), lambda: prices.address(self.cloud, region, used=used))
        return times(hourly, HOURS)

    def stored(self, region: str, gib: float) -> Dollars:
        """Return what a snapshot of so many GiB costs a month."""
        return times(self._once(("snapshot", region), lambda: prices.snapshot_gib_month(self.cloud, region)), gib)

    def volume(self, region: str, described: Mapping[str, Any]) -> Dollars:
        """Return what a volume costs a month: its size, and the iops and throughput beyond what comes with it."""
        kind = described["VolumeType"]
        iops, throughput = described.get("Iops") or 0, described.get("Throughput") or 0
        beyond = max(0, iops - FREE_IOPS) if kind == "gp3" else iops if kind in ("io1", "io2") else 0
        faster = max(0, throughput - FREE_THROUGHPUT) if kind == "gp3" else 0
        parts = [
            times(self._volume(region, kind, prices.VolumePart.SIZE), described["Size"]),
            times(self._volume(region, kind, prices.VolumePart.IOPS), beyond) if beyond else 0.0,
            times(self._volume(region, kind, prices.VolumePart.THROUGHPUT), faster / MIB_IN_GIB) if faster else 0.0,
        ]
        return total(parts)

    def _volume(self, region: str, kind: str, part: prices.VolumePart) -> Dollars:
        return self._once(("volume", region, kind, part), lambda: prices.volume(self.cloud, region, kind, part))

    def _once(self, key: tuple[str, ...], ask: Callable[[], Dollars]) -> Dollars:
        with self._lock:  # held while asking: sixteen threads would ask for the same price at once
            if key not in self._known:
                self._known[key] = ask()
            return self._known[key]


def times(price: Dollars, amount: float) -> Dollars:
    """Return a price so many times; unknown stays unknown."""
    return None if price is None else price * amount


def total(parts: list[Dollars]) -> Dollars:
    """Return the sum; unknown where any part is."""
    return None if any(part is None for part in parts) else sum(part or 0.0 for part in parts)
