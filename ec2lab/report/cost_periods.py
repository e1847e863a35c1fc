"""What was spent in each period, by experiment and by member. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ec2lab.costs.charges import Charge, CostPeriod
from ec2lab.costs.summary import GROUPS, THE_LAB
from ec2lab.report.time_axis import DAY, HOUR, WEEK, TimeAxis

MOST_PERIODS = 64
MOST_SERIES = 20
"""Experiments or members with a line of their own, the dearest first; the rest share one."""

PeriodCharges = Sequence[Sequence[Charge]]
"""What falls into each period."""


@dataclass(frozen=True, slots=True)
class Period:
    """An hour, a day, a week from its Monday, or a month, of UTC; the first and the last may be cut."""

    begin: datetime
    end: datetime
    label: str


@dataclass(slots=True)
class Series:
    """What one experiment or member cost."""

    name: str
    dollars: list[float]
    """In each period, as far as prices are known."""
    unpriced: set[str] = field(default_factory=set)
    """The ids of what has no known price."""

    @property
    def total(self) -> float:
        """Dollars in all periods."""
        return sum(self.dollars)


@dataclass(frozen=True, slots=True)
class Spending:
    """What everything cost."""

    every: str
    """hour, day, week or month."""
    periods: list[Period]
    all: Series
    by_experiment: list[Series]
    by_member: list[Series]


def periods(axis: TimeAxis) -> tuple[str, list[Period]]:
    """Return the stretches that costs are added up for: so long that there are at most 64."""
    for every, length, form in (("hour", HOUR, "%d %b %H:%M"), ("day", DAY, "%d %b"), ("week", WEEK, "%d %b")):
        if axis.length / length < MOST_PERIODS - 1:
            return every, _cut(axis, _starts(axis, length), form)
    return "month", _cut(axis, _months(axis), "%b %Y")


def spending(spans: Iterable[CostPeriod], axis: TimeAxis, base: Callable[[str], str]) -> Spending:
    """Return what spans cost in each period; `base` gives the name that an experiment is added up under."""
    every, stretches = periods(axis)
    found = list(spans)
    charged = [[c for span in found if (c := span.charge(p.begin, p.end, axis.end))] for p in stretches]
    return Spending(
        every=every,
        periods=stretches,
        all=_of_all(charged),
        by_experiment=_by_name(charged, lambda charge: base(charge.experiment) if charge.experiment else THE_LAB),
        by_member=_by_name(charged, GROUPS["member"]),
    )


def shown(ordered: Sequence[Series]) -> list[Series]:
    """Return the dearest series, and one for all the rest where there are too many."""
    if len(ordered) <= MOST_SERIES:
        return list(ordered)
    rest = ordered[MOST_SERIES - 1 :]
    shared = Series(f"{len(rest)} others", [sum(dollars) for dollars in zip(*(s.dollars for s in rest), strict=True)])
    shared.unpriced = set().union(*(series.unpriced for series in rest))
    return [*ordered[: MOST_SERIES - 1], shared]


def _by_name(charged: PeriodCharges, name_of: Callable[[Charge], str]) -> list[Series]:
    """Return a series for each name, the dearest first."""
    found: dict[str, Series] = {}
    for number, inside in enumerate(charged):
        for charge in inside:
            name = name_of(charge)
            _add(found.setdefault(name, Series(name, [0.0] * len(charged))), number, charge)
    return sorted(found.values(), key=lambda series: (-series.total, series.name))


def _of_all(charged: PeriodCharges) -> Series:
    series = Series("all", [0.0] * len(charged))
    for number, inside in enumerate(charged):
        for charge in inside:
            _add(series, number, charge)
    return series


def _add(series: Series, number: int, charge: Charge) -> None:
    if charge.dollars is None:
        series.unpriced.add(charge.id)
    else:
        series.dollars[number] += charge.dollars


def _starts(axis: TimeAxis, length: timedelta) -> list[datetime]:
    monday = datetime(1970, 1, 5, tzinfo=UTC)
    first = monday + (axis.begin - monday) // length * length
    return [first + n * length for n in range((axis.end - first) // length + 1)]


def _months(axis: TimeAxis) -> list[datetime]:
    first, last = (moment.year * 12 + moment.month - 1 for moment in (axis.begin, axis.end))
    return [datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC) for number in range(first, last + 1)]


def _cut(axis: TimeAxis, starts: list[datetime], form: str) -> list[Period]:
    """Return the periods that begin so, the last one up to the end of the axis."""
    ends = [*starts[1:], axis.end]
    return [
        Period(begin, end, f"{begin:{form}}".removeprefix("0"))
        for begin, end in zip(starts, ends, strict=True)
        if end > begin
    ]
