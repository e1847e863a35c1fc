"""Costs as columns of a chart: how high each stands, what the scale says, which periods are named. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ec2lab.report.cost_periods import Period, Series
from ec2lab.report.time_axis import ON_A_PHONE, Tick

PLOT = 160
"""Pixels: the height of the large chart."""
SPARK = 26
"""Pixels: the height of a small one."""
LEAST = 1.5
"""Pixels of whatever is not nothing."""
GAP = 0.2
"""Of a column's width."""
NAMED = 8
LAST_ON_A_PHONE = 84.0
"""Percent, beyond which there is no room for a name on a phone."""


@dataclass(frozen=True, slots=True)
class Column:
    """One period: x and width in percent, y and height in pixels."""

    x: float
    width: float
    y: float
    height: float
    told: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A line of the scale."""

    y: float
    label: str


def columns(series: Series, periods: Sequence[Period], highest: float, height: float) -> list[Column]:
    """Return a column for each period in which something was spent; `highest` is as high as the chart."""
    width = 100 / len(periods)
    found = []
    for number, (dollars, period) in enumerate(zip(series.dollars, periods, strict=True)):
        if dollars > 0:
            tall = max(LEAST, dollars / highest * height)
            told = f"{period.label}: {dollars:,.2f} dollars"
            found.append(Column((number + GAP / 2) * width, width * (1 - GAP), height - tall, tall, told))
    return found


def scale(most: float) -> float:
    """Return the round amount that a chart reaches up to: 1, 2, 2.5 or 5 of a power of ten, twice."""
    if most <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(most / 2))
    return next(2 * step * power for step in (1, 2, 2.5, 5, 10) if 2 * step * power >= most)


def marks(highest: float, height: float) -> list[Mark]:
    """Return the lines of the scale: the top and half of it."""
    return [Mark(0.0, amount(highest)), Mark(height / 2, amount(highest / 2))]


def amount(dollars: float) -> str:
    """Return an amount on a scale, with as many digits as it wants."""
    return f"{dollars:,.0f}" if dollars == round(dollars) else f"{dollars:,.2f}" if dollars >= 0.01 else f"{dollars:g}"  # noqa: PLR2004


def named(periods: Sequence[Period]) -> list[Tick]:
    """Return the names of as many periods as have room, each under its column."""
    every = -(-len(periods) // NAMED)
    chosen = list(range(0, len(periods), every))
    on_a_phone = -(-len(chosen) // ON_A_PHONE)
    found = []
    for n, number in enumerate(chosen):
        x = round(100 * (number + GAP / 2) / len(periods), 2)
        found.append(Tick(x, periods[number].label, n % on_a_phone == 0 and x <= LAST_ON_A_PHONE))
    return found
