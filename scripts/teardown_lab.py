"""Delete what the lab itself owns in an AWS account, and prove that it is gone: the way back from setup-aws."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from ec2lab.console import Console, run
from ec2lab.errors import LabError
from ec2lab.options import AsJson, Confirm, Regions, script

if TYPE_CHECKING:
    from ec2lab.account.ownership import Belongings
    from ec2lab.audit.inventory import Item
    from ec2lab.resources.base import Resource

app = script(__doc__)
WithData = Annotated[
    bool, typer.Option("--with-data", envvar="WITH_DATA", help="Delete data sets and kept volumes too.")
]


@app.command()
def teardown_lab(
    regions: Regions = "", yes: Confirm = False, with_data: WithData = False, as_json: AsJson = False
) -> None:
    """Show all that the lab owns, in all regions (or REGIONS) and in IAM; YES=1 deletes it.

    What another registry made is shown and stays, and so does what only has copied tags. Refused while an experiment
    lives, whoever's. Data sets and kept volumes are shown with their monthly cost, and stay unless WITH_DATA=1. Exit 0
    if AWS shows nothing of it any more, 1 if anything is left or would be deleted.
    """
    from ec2lab.account.ownership import belongings
    from ec2lab.account.region_setup import NO_NAME
    from ec2lab.account.uninstall import check_can_uninstall
    from ec2lab.audit.inventory import survey
    from ec2lab.instances.teardown import delete_resources
    from ec2lab.regions import region_names
    from ec2lab.resources.unseen_report import tell_awaited
    from ec2lab.session import open_session

    console = Console(as_json=as_json)
    with open_session("teardown-lab") as session, session.registry.acting_alone(NO_NAME, "teardown-lab"):
        console.hint(session.cloud.banner)
        console.progress("  looking into all regions")
        seen = survey(session, region_names(regions))
        found = belongings(seen.items, session.lab.name, session.ownership(session.state_with_history()))
        show(console, found, with_data)
        check_can_uninstall(session, found, seen.unseen, with_data=with_data)
        going = [item.resource for item in [*found.own, *(found.data if with_data else [])]]
        if going and not yes:
            raise LabError(f"{len(going)} would be deleted; YES=1 does it")
        removal = delete_resources(
            session, NO_NAME, going, partial(deleting, console), lambda one, why: tell_awaited(console, one, why)
        )
        done = f"deleted {len(removal.deleted)}; AWS shows nothing left" if going else "nothing was left"
        stays = f"; {len(found.data)} data sets and kept volumes stay" if found.data and not with_data else ""
        console.say(f"{done}{stays}", "gone", style="green", deleted=list(removal.deleted))
        console.hint(f"  the registry {session.registry.name} stays, the record of it all")


def show(console: Console, found: Belongings, with_data: bool) -> None:
    """Show what goes, and what stays with what it costs."""
    for item in found.own:
        row(console, item, "goes")
    for item in found.data:
        row(console, item, "goes" if with_data else "stays")
    for item in found.others:
        row(console, item, "another lab's")
    for item in found.copies:
        row(console, item, "a copy")
    if found.data:
        dollars, unknown = total_cost(found.data)
        more = f", and {unknown} of unknown price" if unknown else ""
        text = f"  data sets and kept volumes: {dollars:,.2f} dollars a month{more}"
        console.say(text, "data", dollars_a_month=round(dollars, 2), unknown_prices=unknown)


def total_cost(items: list[Item]) -> tuple[float, int]:
    """Return what things cost a month together, and of how many that is not known."""
    costs = [item.monthly for item in items]
    return sum(cost for cost in costs if cost is not None), costs.count(None)


def row(console: Console, item: Item, what: str) -> None:
    """Show one thing."""
    name = item.tags.get("Name", "")
    cost = "" if item.monthly == 0 else "unknown price" if item.monthly is None else f"{item.monthly:,.2f} $ a month"
    console.say(
        "  ".join(filter(None, (f"  {what:<6}", str(item.resource), name, cost))), "belongs", what=what,
        kind=item.resource.kind, id=item.resource.id, region=item.resource.region, name=name,
        dollars_a_month=item.monthly,
    )  # fmt: skip


def deleting(console: Console, resource: Resource) -> None:
    """Say what is being deleted."""
    console.say(f"  deleting {resource}", "deleting", kind=resource.kind, id=resource.id, region=resource.region)
    console.progress("  waiting until AWS shows nothing left")


if __name__ == "__main__":
    run(app)
