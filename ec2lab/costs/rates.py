"""Rates: by the hour, by the month, and of a spot market. Pure.

A rate is additive: the cost from A to B plus that from B to C is that from A to C.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ec2lab.costs.money import Dollars, times, total

HOUR = timedelta(hours=1)
UNPRICED = "no price of it is known"


class Rate(ABC):
    """Dollars over time."""

    why: str = UNPRICED
    """Why they are unknown, if they are."""

    @abstractmethod
    def dollars(self, began: datetime, ended: datetime) -> Dollars:
        """Return the cost from `began` to `ended`; None where it is unknown."""

    @abstractmethod
    def hourly(self, moment: datetime) -> Dollars:
        """Return the hourly cost at a moment."""


@dataclass(frozen=True, slots=True)
class HourlyRate(Rate):
    """An hourly price, billed by the second."""

    price: Dollars
    why: str = field(default=UNPRICED, compare=False)

    def dollars(self, began: datetime, ended: datetime) -> Dollars:
        return times(self.price, (ended - began) / HOUR)

    def hourly(self, moment: datetime) -> Dollars:
        return self.price


@dataclass(frozen=True, slots=True)
class Monthly(Rate):
    """A monthly price, billed by the second, so that a second costs more in a month of 30 days than in one of 31.

    `price x seconds / (86,400 x the month's days)`, as in the examples of https://aws.amazon.com/ebs/pricing/; months
    are in UTC.
    """

    price: Dollars
    why: str = field(default=UNPRICED, compare=False)

    def dollars(self, began: datetime, ended: datetime) -> Dollars:
        if self.price is None:
            return None
        return sum(self.price * ((there - here) / length) for here, there, length in _by_month(began, ended))

    def hourly(self, moment: datetime) -> Dollars:
        begins, ends = month_of(moment)
        return times(self.price, HOUR / (ends - begins))


@dataclass(frozen=True, slots=True)
class SpotRate(Rate):
    """An hourly price that changes, as on the spot market."""

    prices: Sequence[tuple[datetime, float]]
    """Changes, oldest first. Before the first one the price is unknown."""
    until: datetime  # the end of what is known; the last price is not assumed to hold longer
    why: str = field(default="no spot price of all of that time is known", compare=False)

    def dollars(self, began: datetime, ended: datetime) -> Dollars:
        if ended <= began:
            return 0.0
        if ended > self.until or not self.prices or began < self.prices[0][0]:
            return None
        return total(price * ((there - here) / HOUR) for here, there, price in self._pieces(began, ended))

    def hourly(self, moment: datetime) -> Dollars:
        """Return the price at a moment; the last known one for later moments."""
        index = bisect_right([since for since, _ in self.prices], moment) - 1
        return self.prices[index][1] if index >= 0 else None

    def _pieces(self, began: datetime, ended: datetime) -> Iterator[tuple[datetime, datetime, float]]:
        ends = [*(since for since, _ in self.prices[1:]), self.until]
        for (since, price), end in zip(self.prices, ends, strict=True):
            here, there = max(since, began), min(end, ended)
            if here < there:
                yield here, there, price


def unlisted(what: str, region: str) -> str:
    return f"no list price of {what} in {region} is known"


def month_of(moment: datetime) -> tuple[datetime, datetime]:
    """Return the beginning of a moment's calendar month and of the next one, in UTC."""
    begins = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return begins, (begins + timedelta(days=32)).replace(day=1)


def _by_month(began: datetime, ended: datetime) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """Split a period into months; yield each part with its month's length."""
    while began < ended:
        begins, next_begins = month_of(began)
        until = min(next_begins, ended)
        yield began, until, next_begins - begins
        began = until
