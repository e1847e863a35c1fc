"""Budgets: the limit, what was spent, what is committed, and what a launch would add. Pure.

The lab's budget is per calendar month in UTC; an experiment's covers everything launched from its file. Spent comes
from the charges; committed is what live resources will cost until they expire; a launch adds its cost over its ttl, all
in the month in which it begins. Without a ttl, a day is assumed. A launch whose response was lost counts as running.
Unknown prices block nothing: they are counted and reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ec2lab.capacity_pools import ON_DEMAND, SPOT
from ec2lab.config.models import Experiment, Lab
from ec2lab.config.volume import Data, Scratch
from ec2lab.costs.charges import Charge
from ec2lab.costs.money import Dollars, sum_known, times
from ec2lab.costs.price_book import HOURS, PriceBook
from ec2lab.events.launch import BudgetUsage
from ec2lab.units import forecast_text, up_to, used_text

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Forecast:
    """The cost of a launch."""

    dollars: float  # the maximum, of what has a known price
    unknown: int  # the number of unknown prices
    hours: float  # the period
    is_assumed: bool  # whether the period is only assumed, for want of a ttl
    unpriced: tuple[str, ...] = ()  # what has an unknown price

    @property
    def hourly_text(self) -> str:
        return up_to(self.dollars / self.hours, self.unpriced, "an hour")

    def __str__(self) -> str:
        return forecast_text(self.dollars, self.unpriced, self.hours, is_assumed=self.is_assumed)


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget and its use."""

    where: str  # the file and key that set it
    limit: float
    of: str  # what it covers, in words
    spent: float
    promised: float  # committed by live resources until they expire
    unknown: int  # the number of charges without a known price

    def over(self, forecast: Forecast) -> float:
        """Return by how much a launch would exceed it; zero or less where it would not."""
        return self.spent + self.promised + forecast.dollars - self.limit

    def over_budget_message(self, name: str, forecast: Forecast) -> str:
        """Return why a launch is refused, in one line."""
        return (
            f"{self.where}: {name} would be over budget by ${self.over(forecast):,.2f}: limit ${self.limit:,.2f} "
            f"{self.of}, {self.used}, this launch {forecast}"
        )

    def usage(self, forecast: Forecast | None = None) -> BudgetUsage:
        return BudgetUsage(
            where=self.where, limit=self.limit, period=self.of, spent=round(self.spent, 2),
            promised=round(self.promised, 2), unknown_prices=self.unknown,
            over=round(self.over(forecast), 2) if forecast else None,
        )  # fmt: skip

    @property
    def used(self) -> str:
        return used_text(self.spent, self.unknown, self.promised)


ROOT = "root volume"


def forecast(
    book: PriceBook, lab: Lab, experiment: Experiment, count: int, sizes: Mapping[str, int] | None = None
) -> Forecast:
    """Return the cost of `count` instances over their ttl, in the most expensive possible pool.

    `sizes` are those, in GiB, that only images and snapshots have, by mount point; the root volume's is under ROOT.
    """
    hours = (experiment.ttl or DAY) / HOUR
    hourly, unknown, unpriced = 0.0, 0, dict[str, Dollars]()
    for region in experiment.regions or lab.regions:
        volumes = dict(_volumes(book, lab, experiment, region, sizes or {}))
        besides = {**volumes, "address": book.address_hour(region, used=True)}
        for instance_type, price in _instances(book, experiment, region):
            known, missing = sum_known([price, *besides.values()])
            hourly, unknown = max(hourly, known), max(unknown, missing)
            unpriced |= {what: costs for what, costs in {instance_type: price, **besides}.items() if costs is None}
    is_assumed = experiment.ttl is None
    return Forecast(hourly * hours * count, unknown * count, hours, is_assumed, tuple(unpriced))


def _instances(book: PriceBook, experiment: Experiment, region: str) -> Iterator[tuple[str, Dollars]]:
    """Yield each type and its hourly cost; reserved capacity is already paid for."""
    spot: Mapping[str, float] = book.spot_now(region, experiment.instance_types) if SPOT in experiment.markets else {}
    for instance_type in experiment.instance_types:
        if ON_DEMAND in experiment.markets:
            yield instance_type, book.instance_hour(region, instance_type)
        elif SPOT in experiment.markets:
            yield instance_type, spot.get(instance_type)
        else:
            yield instance_type, 0.0


def _volumes(
    book: PriceBook, lab: Lab, experiment: Experiment, region: str, sizes: Mapping[str, int]
) -> Iterator[tuple[str, Dollars]]:
    """Yield each volume's mount point and hourly cost; unknown where its size is."""
    root = experiment.root_volume or lab.root_volume
    volumes: list[Data | Scratch] = [*experiment.data, *experiment.scratch]
    asked: list[tuple[str, int | None, dict[str, Any]]] = [(ROOT, root.size_gib, {"VolumeType": "gp3"})]
    asked += [
        (str(v.mount), v.size_gib, {"VolumeType": v.type, "Iops": v.iops, "Throughput": v.throughput}) for v in volumes
    ]
    for what, given, described in asked:
        gib = given or sizes.get(what)
        yield what, times(book.volume(region, {**described, "Size": gib}), 1 / HOURS) if gib else None


def promised(charges: Iterable[Charge], now: datetime) -> tuple[float, int]:
    """Return what live resources will cost until they expire, or for a day from their creation."""
    costs = []
    for charge in charges:
        ends = charge.due or charge.began + DAY
        if charge.ended is None and ends > now:
            costs.append(times(charge.hourly, (ends - now) / HOUR))
    return sum_known(costs)
