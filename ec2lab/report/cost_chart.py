"""What was spent in each period, by experiment and by member, and how a chart shows it as columns. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ec2lab.costs.charges import Charge, CostPeriod
from ec2lab.costs.summary import GROUPS, THE_LAB
from ec2lab.report.time_axis import DAY, HOUR, ON_A_PHONE, WEEK, Rect, Tick, TimeAxis

MOST_PERIODS = 64
MOST_SERIES = 20  # experiments or members with a line of their own, most expensive first; the others share one

PeriodCharges = Sequence[Sequence[Charge]]


@dataclass(frozen=True, slots=True)
class Period:
    """An hour, day, week from Monday, or month in UTC; the first and last may be cut."""

    begin: datetime
    end: datetime
    label: str


@dataclass(slots=True)
class Series:
    name: str
    dollars: list[float]  # in each period, as far as prices are known
    unpriced: set[str] = field(default_factory=set)  # ids of resources without a known price

    @property
    def total(self) -> float:
        return sum(self.dollars)


@dataclass(frozen=True, slots=True)
class Spending:
    """All costs."""

    every: str  # hour, day, week or month
    periods: list[Period]
    all: Series
    by_experiment: list[Series]
    by_member: list[Series]


def periods(axis: TimeAxis) -> tuple[str, list[Period]]:
    """Return the periods that costs are summed over, at most 64."""
    for every, length, form in (("hour", HOUR, "%d %b %H:%M"), ("day", DAY, "%d %b"), ("week", WEEK, "%d %b")):
        if axis.length / length < MOST_PERIODS - 1:
            return every, _cut(axis, _starts(axis, length), form)
    return "month", _cut(axis, _months(axis), "%b %Y")


def spending(spans: Iterable[CostPeriod], axis: TimeAxis, base: Callable[[str], str]) -> Spending:
    """Return the cost of each period; `base` maps an experiment to the name it is summed under."""
    every, stretches = periods(axis)
    found = list(spans)
    charged = [[c for span in found if (c := span.charge(p.begin, p.end, axis.end))] for p in stretches]
    return Spending(
        every=every,
        periods=stretches,
        all=next(iter(_by_name(charged, lambda _: "all")), Series("all", [0.0] * len(charged))),
        by_experiment=_by_name(charged, lambda charge: base(charge.experiment) if charge.experiment else THE_LAB),
        by_member=_by_name(charged, GROUPS["member"]),
    )


def shown(ordered: Sequence[Series]) -> list[Series]:
    """Return the most expensive series, and one for the others if there are too many."""
    if len(ordered) <= MOST_SERIES:
        return list(ordered)
    rest = ordered[MOST_SERIES - 1 :]
    shared = Series(f"{len(rest)} others", [sum(dollars) for dollars in zip(*(s.dollars for s in rest), strict=True)])
    shared.unpriced = set().union(*(series.unpriced for series in rest))
    return [*ordered[: MOST_SERIES - 1], shared]


def _by_name(charged: PeriodCharges, name_of: Callable[[Charge], str]) -> list[Series]:
    found: dict[str, Series] = {}
    for number, inside in enumerate(charged):
        for charge in inside:
            name = name_of(charge)
            _add(found.setdefault(name, Series(name, [0.0] * len(charged))), number, charge)
    return sorted(found.values(), key=lambda series: (-series.total, series.name))


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
    """Return the periods with these beginnings; the last one ends with the axis."""
    ends = [*starts[1:], axis.end]
    return [
        Period(begin, end, f"{begin:{form}}".removeprefix("0"))
        for begin, end in zip(starts, ends, strict=True)
        if end > begin
    ]


PLOT = 160
SPARK = 26
LEAST = 1.5  # pixels of anything above zero
GAP = 0.2  # as a share of the column's width
NAMED = 8
LAST_ON_A_PHONE = 84.0  # percent; a label further right does not fit on a phone


def columns(series: Series, periods: Sequence[Period], highest: float, height: float) -> list[Rect]:
    """Return a column for each period with costs; `highest` is the top of the chart."""
    width = 100 / len(periods)
    found = []
    for number, (dollars, period) in enumerate(zip(series.dollars, periods, strict=True)):
        if dollars > 0:
            tall = max(LEAST, dollars / highest * height)
            tooltip = f"{period.label}: {dollars:,.2f} dollars"
            found.append(Rect((number + GAP / 2) * width, width * (1 - GAP), height - tall, tall, "column", tooltip))
    return found


def scale(most: float) -> float:
    """Return the top of a chart's scale: 1, 2, 2.5 or 5 times a power of ten."""
    if most <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(most / 2))
    return next(2 * step * power for step in (1, 2, 2.5, 5, 10) if 2 * step * power >= most)


def marks(highest: float, height: float) -> list[tuple[float, str]]:
    """Return the lines of the scale, each with its label: the top and half of it."""
    return [(0.0, amount(highest)), (height / 2, amount(highest / 2))]


def amount(dollars: float) -> str:
    """Format an amount on a scale, with as many digits as needed."""
    return f"{dollars:,.0f}" if dollars == round(dollars) else f"{dollars:,.2f}" if dollars >= 0.01 else f"{dollars:g}"  # noqa: PLR2004


def named(periods: Sequence[Period]) -> list[Tick]:
    """Return as many labels of periods as fit, each under its column."""
    every = -(-len(periods) // NAMED)
    chosen = list(range(0, len(periods), every))
    on_a_phone = -(-len(chosen) // ON_A_PHONE)
    found = []
    for n, number in enumerate(chosen):
        x = round(100 * (number + GAP / 2) / len(periods), 2)
        found.append(Tick(x, periods[number].label, n % on_a_phone == 0 and x <= LAST_ON_A_PHONE))
    return found
