"""What a plan says of money: what a launch would cost, and what of the budgets would be left."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from ec2lab.console import Console
from ec2lab.costs.budget import Budget, Forecast


def tell(console: Console, forecast: Forecast, budgets: Iterable[Budget]) -> None:
    """Say what a launch would cost, and what each budget makes of it."""
    console.say(f"it would cost {forecast}", "forecast", **asdict(forecast))
    for budget in budgets:
        over = budget.over(forecast)
        left = f"{over:,.2f} too much: a launch is refused" if over > 0 else f"{-over:,.2f} would be left"
        console.say(
            f"{budget.where}: {budget.limit:,.2f} dollars {budget.of}: {budget.used}; {left}", "budget",
            style="yellow" if over > 0 else None, over=round(over, 2), **asdict(budget),
        )  # fmt: skip
    console.hint("")
