"""Show what lives: where, since when, and which data is on it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from scripts.core.console import Console, run
from scripts.core.options import AsJson, script

if TYPE_CHECKING:
    from scripts.core.kind import Resource

app = script(__doc__)
COLUMNS = (
    "experiment", "kind", "id", "state", "where", "type", "market", "since (UTC)", "left", "address", "data", "loaded"
)  # fmt: skip


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show what the registry says lives, with the state that AWS gives it now."""
    from scripts.core.session import open_session
    from scripts.core.standing import standing

    console = Console(as_json=as_json)
    with open_session("status") as session:
        resources = standing(session)
        for resource in resources:
            if as_json:
                console.say("", "resource", **_as_fields(resource))
        if not resources:
            console.hint("nothing lives")
            return
        console.table(COLUMNS, [_row(resource) for resource in resources])
        console.hint(session.cloud.banner)


def _row(resource: Resource) -> list[str]:
    details = resource.details
    return [
        resource.experiment or "", resource.kind, resource.id, resource.state,
        details.get("zone", resource.region), details.get("type") or details.get("size", ""),
        details.get("market", ""), resource.since[:16].replace("T", " "), _left(resource), details.get("address", ""),
        details.get("data", ""), details.get("loaded", ""),
    ]  # fmt: skip


def _left(resource: Resource) -> str:
    from scripts.core.time_left import left

    return left(resource.details, resource.state, datetime.now(UTC))


def _is_overdue(resource: Resource) -> bool:
    from scripts.core.time_left import is_overdue

    return is_overdue(resource.details, resource.state, datetime.now(UTC))


def _as_fields(resource: Resource) -> dict[str, Any]:
    return {
        "experiment": resource.experiment, "kind": resource.kind, "id": resource.id, "state": resource.state,
        "region": resource.region, "since": resource.since, "left": _left(resource), "overdue": _is_overdue(resource),
        **resource.details,
    }  # fmt: skip


if __name__ == "__main__":
    run(app)
