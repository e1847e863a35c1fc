"""Show what lives: where, since when, and which data is on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.core.console import Console, run
from scripts.core.options import AsJson, script

if TYPE_CHECKING:
    from scripts.core.cost_sums import Spent
    from scripts.core.kind import Resource

app = script(__doc__)
COLUMNS = (
    "experiment", "kind", "id", "state", "where", "type", "market", "since (UTC)", "$/hour", "$ so far",
    "address", "data", "loaded",
)  # fmt: skip


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show what the registry says lives, with the state that AWS gives it now and what it costs, with its volumes."""
    from scripts.core.session import open_session
    from scripts.core.standing import standing
    from scripts.core.standing_costs import costs_of, total_of

    console = Console(as_json=as_json)
    with open_session("status") as session:
        resources = standing(session)
        if not resources:
            console.hint("nothing lives")
            return
        costs = costs_of(session, resources)
        for resource in resources if as_json else ():
            console.say("", "resource", **_as_fields(resource, costs[resource.id]))
        console.table(COLUMNS, [_row(resource, costs[resource.id]) for resource in resources])
        say_sum(console, total_of(costs.values()))
        console.hint(session.cloud.banner)


def say_sum(console: Console, total: Spent) -> None:
    """Say what all of it costs together."""
    from scripts.core.cost_sums import amount

    hourly, dollars = amount(total.hourly, total.hourly_unknown), amount(total.dollars, total.unknown)
    console.say(
        f"{hourly} dollars an hour, {dollars} so far", "sum",
        dollars_per_hour=round(total.hourly, 6), dollars=round(total.dollars, 6), unknown_prices=total.unknown,
    )  # fmt: skip


def _row(resource: Resource, cost: Spent) -> list[str]:
    from scripts.core.cost_sums import amount

    details = resource.details
    return [
        resource.experiment or "", resource.kind, resource.id, resource.state,
        details.get("zone", resource.region), details.get("type") or details.get("size", ""),
        details.get("market", ""), resource.since[:16].replace("T", " "),
        amount(cost.hourly, cost.hourly_unknown), amount(cost.dollars, cost.unknown),
        details.get("address", ""), details.get("data", ""), details.get("loaded", ""),
    ]  # fmt: skip


def _as_fields(resource: Resource, cost: Spent) -> dict[str, Any]:
    return {
        "experiment": resource.experiment, "kind": resource.kind, "id": resource.id, "state": resource.state,
        "region": resource.region, "since": resource.since, **resource.details,
        "dollars_per_hour": round(cost.hourly, 6), "dollars": round(cost.dollars, 6), "unknown_prices": cost.unknown,
    }  # fmt: skip


if __name__ == "__main__":
    run(app)
