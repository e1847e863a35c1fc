"""What the screen, or a program, is told of what lives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.core import clock
from scripts.core.console import Cell, Console
from scripts.core.costs.cost_sums import Spent, amount
from scripts.core.kind import Resource
from scripts.core.machines.time_left import is_overdue, left

COLUMNS = ("experiment", "id", "state", "where", "type, data", "since (UTC)", "left", "$/hour", "$ so far")
ON_DEMAND = "on-demand"
"""The market that goes without saying."""


class StatusReport:
    """Speaks of resources to a console."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.now = clock.now()

    def lives(self, resources: Sequence[Resource], costs: Mapping[str, Spent]) -> None:
        """Say what lives and what each costs."""
        for resource in resources if self.console.as_json else ():
            self.console.say("", "resource", **self._as_fields(resource, costs[resource.id]))
        self.console.table(COLUMNS, [self._row(resource, costs[resource.id]) for resource in resources])

    def sum(self, total: Spent) -> None:
        """Say what all of it costs together."""
        hourly, dollars = amount(total.hourly, total.hourly_unknown), amount(total.dollars, total.unknown)
        self.console.say(
            f"{hourly} dollars an hour, {dollars} so far", "sum",
            dollars_per_hour=round(total.hourly, 6), dollars=round(total.dollars, 6), unknown_prices=total.unknown,
        )  # fmt: skip

    def _row(self, resource: Resource, cost: Spent) -> list[Cell]:
        """Return the cells of a resource; what would make the table too wide stands in a second line of theirs."""
        details = resource.details
        market = details.get("market", "")
        what = [details.get("type") or details.get("size", ""), "" if market == ON_DEMAND else market]
        loaded = f"loaded: {details['loaded']}" if details.get("loaded", "100%") != "100%" else ""
        return [
            resource.experiment or "", _lines(resource.id, details.get("address", "")), resource.state,
            details.get("zone", resource.region),
            _lines(" ".join(filter(None, what)) or resource.kind, details.get("data", ""), loaded),
            resource.since[5:16].replace("T", " "), left(details, resource.state, self.now),
            amount(cost.hourly, cost.hourly_unknown), amount(cost.dollars, cost.unknown),
        ]  # fmt: skip

    def _as_fields(self, resource: Resource, cost: Spent) -> dict[str, Any]:
        details, state = resource.details, resource.state
        return {
            "experiment": resource.experiment, "kind": resource.kind, "id": resource.id, "state": state,
            "region": resource.region, "since": resource.since, "left": left(details, state, self.now),
            "overdue": is_overdue(details, state, self.now), **details, "dollars_per_hour": round(cost.hourly, 6),
            "dollars": round(cost.dollars, 6), "unknown_prices": cost.unknown,
        }  # fmt: skip


def _lines(*parts: str) -> tuple[str, ...]:
    return tuple(filter(None, parts))
