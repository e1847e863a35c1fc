"""List datasets: versions, regions, sizes, costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ec2lab.console import Console, exit_if_incomplete, run
from ec2lab.options import AsJson, DatasetName, Regions, Wide, script

if TYPE_CHECKING:
    from ec2lab.datasets.costs import PricedSnapshot
    from ec2lab.events.datasets import DatasetVersion

app = script(__doc__)


@app.command()
def datasets(dataset: DatasetName = "", regions: Regions = "", wide: Wide = False, as_json: AsJson = False) -> None:
    """List the snapshots of all datasets (or DATASET) in the lab's regions (or REGIONS).

    The cost shown is an upper bound: AWS bills only the blocks that a snapshot does not share with an earlier one,
    and does not report how many those are.

    Exit status: 3 if a region did not respond.
    """
    from ec2lab.datasets.costs import price_snapshots
    from ec2lab.datasets.dataset import list_snapshots_in, snapshots_in
    from ec2lab.events import RegionsUnavailable
    from ec2lab.regions import region_names
    from ec2lab.resources.live_in_aws import known_regions
    from ec2lab.session import open_session

    console = Console(as_json=as_json, wide=wide)
    with open_session("datasets") as session:
        console.hint(session.cloud.banner)
        places = region_names(regions) or known_regions(session)
        responses = list_snapshots_in(session, places, dataset or None)
        costs = price_snapshots(session, snapshots_in(responses))
        found = sorted(
            costs.snapshots, key=lambda c: (c.snapshot.dataset, c.snapshot.made, places.index(c.snapshot.region))
        )
        if found:
            console.emit_table([_event(one) for one in found])
            known = [one.dollars for one in found if one.dollars is not None]
            more = "" if len(known) == len(found) else f", and {len(found) - len(known)} with unknown price"
            console.hint(f"at most {sum(known):,.2f} dollars a month{more}")
        elif seen := [region for region in places if region not in responses.unseen]:
            makes = "`make snapshot-create` and `make dataset-build` make one"
            console.hint(f"no dataset in {', '.join(seen)}; {makes}")
        console.emit(*costs.unknown)
        console.emit(*RegionsUnavailable.by_reason(responses.unseen))
    exit_if_incomplete(responses.unseen)


def _event(one: PricedSnapshot) -> DatasetVersion:
    from ec2lab.events.datasets import DatasetVersion

    snapshot = one.snapshot
    return DatasetVersion(
        dataset=snapshot.dataset, version=snapshot.version, region=snapshot.region, state=snapshot.state,
        failure=snapshot.failure, progress=snapshot.progress, id=snapshot.id, size_gib=snapshot.gib,
        bytes=snapshot.size, dollars_per_month=one.dollars, fast_restore=one.fast_restore, started=snapshot.started,
        created_at=snapshot.made, encrypted=snapshot.encrypted, source=snapshot.tags.get("lab:source"),
    )  # fmt: skip


if __name__ == "__main__":
    run(app)
