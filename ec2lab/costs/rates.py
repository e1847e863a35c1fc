"""What something costs while it is there: prices by the hour, by the month, and by a spot market. Pure.

A rate adds up: what it costs from A to B and from B to C is what it costs from A to C.
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
    """Dollars for time."""

    why: str = UNPRICED
    """Why they are not known, where they are not."""

    @abstractmethod
    def dollars(self, began: datetime, ended: datetime) -> Dollars:
        """Return what the time from `began` to `ended` costs; None where that is not known."""

    @abstractmethod
    def hourly(self, moment: datetime) -> Dollars:
        """Return what an hour costs at a moment."""


@dataclass(frozen=True, slots=True)
class HourlyRate(Rate):
    """A price by the hour, paid by the second."""

    price: Dollars
    why: str = field(default=UNPRICED, compare=False)

    def dollars(self, began: datetime, ended: datetime) -> Dollars:
        """Return the price for so many seconds."""
        return times(self.price, (ended - began) / HOUR)

    def hourly(self, moment: datetime) -> Dollars:
        """Return the price."""
        del moment
        return self.price


@dataclass(frozen=True, slots=True)
class Monthly(Rate):
    """A price by the month, paid by the second: a second costs more in a month of 30 days than in one of 31.

    `price x seconds / (86,400 x the month's days)`, as in the examples of https://aws.amazon.com/ebs/pricing/; months
    are UTC's.
    """

    price: Dollars
    why: str = field(default=UNPRICED, compare=False)

    def dollars(self, began: datetime, ended: datetime) -> Dollars:
        """Return each month's share of the price."""
        if self.price is None:
            return None
        return sum(self.price * ((there - here) / length) for here, there, length in _by_month(began, ended))

    def hourly(self, moment: datetime) -> Dollars:
        """Return the price in the month of a moment."""
        begins, ends = month_of(moment)
        return times(self.price, HOUR / (ends - begins))


@dataclass(frozen=True, slots=True)
class SpotRate(Rate):
    """A price by the hour that changes, as a spot market's does: each price holds until the next."""

    prices: Sequence[tuple[datetime, float]]
    """From when on, and the price; oldest first. Before the first one nothing is known."""
    until: datetime
    """How far they are known; the last one is not taken to hold longer."""
    why: str = field(default="no spot price of all of that time is known", compare=False)

    def dollars(self, began: datetime, ended: datetime) -> Dollars:
        """Return the sum over the prices that held; unknown where one is not known."""
        if ended <= began:
            return 0.0
        if ended > self.until or not self.prices or began < self.prices[0][0]:
            return None
        return total(price * ((there - here) / HOUR) for here, there, price in self._pieces(began, ended))

    def hourly(self, moment: datetime) -> Dollars:
        """Return the price that holds at a moment; the last known one where it is later."""
        index = bisect_right([since for since, _ in self.prices], moment) - 1
        return self.prices[index][1] if index >= 0 else None

    def _pieces(self, began: datetime, ended: datetime) -> Iterator[tuple[datetime, datetime, float]]:
        ends = [*(since for since, _ in self.prices[1:]), self.until]
        for (since, price), end in zip(self.prices, ends, strict=True):
            here, there = max(since, began), min(end, ended)
            if here < there:
                yield here, there, price


def unlisted(what: str, region: str) -> str:
    """Return why what has no list price costs nobody knows what."""
    return f"no list price of {what} in {region} is known"


def month_of(moment: datetime) -> tuple[datetime, datetime]:
    """Return when the calendar month of a moment begins and when the next one does, in UTC."""
    begins = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return begins, (begins + timedelta(days=32)).replace(day=1)


def _by_month(began: datetime, ended: datetime) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """Cut a time into months; yield each part with its month's length."""
    while began < ended:
        begins, next_begins = month_of(began)
        until = min(next_begins, ended)
        yield began, until, next_begins - begins
        began = until
