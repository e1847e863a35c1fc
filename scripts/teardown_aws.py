"""Delete what the lab itself owns in an AWS account, and verify it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ec2lab.console import Console, run
from ec2lab.options import AsJson, Confirm, Regions, option, script

if TYPE_CHECKING:
    from ec2lab.account.uninstall import Belongings

app = script(__doc__)
WithData = Annotated[bool, option("INCLUDE_DATASETS", "Also delete datasets and retained volumes.")]


@app.command()
def teardown_aws(
    regions: Regions = "", yes: Confirm = False, with_data: WithData = False, as_json: AsJson = False
) -> None:
    """Show everything that the lab owns in all regions (or REGIONS) and in IAM; YES=1 deletes it.

    Other registries' resources, and those with copied tags, are listed but not deleted. Datasets and retained
    volumes are listed with their monthly cost, and deleted only with INCLUDE_DATASETS=1. Refused while anybody's
    experiment is live.

    Exit status: 1 if anything is left that was to be deleted.
    """
    from ec2lab.account.region_setup import NO_NAME
    from ec2lab.account.uninstall import belongings, check_can_uninstall
    from ec2lab.audit.inventory import survey
    from ec2lab.events import Info
    from ec2lab.events.teardown import TeardownComplete
    from ec2lab.instances.deletion import delete_resources
    from ec2lab.regions import region_names
    from ec2lab.session import open_session
    from ec2lab.units import counted

    console = Console(as_json=as_json)
    with open_session("teardown-aws") as session, session.registry.lock_experiment(NO_NAME, "teardown-aws"):
        console.hint(session.cloud.banner)
        seen = survey(session, region_names(regions))
        found = belongings(
            seen.items, session.lab.name, session.records.ownership(session.records.state_with_history())
        )
        show(console, found, with_data)
        check_can_uninstall(session, found, seen.unseen, with_data=with_data)
        going = [item.resource for item in [*found.own, *(found.data if with_data else [])]]
        if going and not yes:
            console.hint(f"nothing was deleted; run again with YES=1 to delete {counted(len(going), 'resource')}")
            return
        removal = delete_resources(session, NO_NAME, going, console.emit)
        retained = 0 if with_data else len(found.data)
        deleted, along = list(removal.deleted), list(removal.went_along)
        console.emit(
            TeardownComplete(
                experiment=None, deleted=deleted, deleted_with_parent=along, deleted_types=removal.deleted_types,
                retained=retained,
            ),
            Info(text=f"  the registry {session.registry.name} is kept as the record"),
        )  # fmt: skip


def show(console: Console, found: Belongings, with_data: bool) -> None:
    from ec2lab.costs.money import sum_known
    from ec2lab.events.teardown import DataCost, OwnedResource

    groups = {"foreign": found.others, "copy": found.copies}
    data = {"would-delete" if with_data else "retained": found.data}
    for status, items in (("would-delete", found.own), *data.items(), *groups.items()):
        for item in items:
            name = item.tags.get("Name", "")
            console.emit(OwnedResource.of(item.resource, status=status, name=name, dollars_per_month=item.monthly))
    if found.data:
        dollars, unknown = sum_known(item.monthly for item in found.data)
        console.emit(DataCost(dollars_per_month=round(dollars, 2), unknown_prices=unknown))


if __name__ == "__main__":
    run(app)
