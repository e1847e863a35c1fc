"""Delete old versions of datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from ec2lab.console import Console, exit_if_incomplete, run, warn
from ec2lab.errors import UserError
from ec2lab.options import AsJson, Confirm, DatasetName, Regions, option, script

if TYPE_CHECKING:
    from ec2lab.datasets.costs import PricedSnapshot
    from ec2lab.datasets.dataset import DataSnapshot
    from ec2lab.session import Session

app = script(__doc__)
Keep = Annotated[int, option("KEEP_LAST", "How many versions of each dataset to keep.", min=0)]


@app.command()
def dataset_prune(
    keep: Keep = 0, dataset: DatasetName = "", regions: Regions = "", yes: Confirm = False, as_json: AsJson = False
) -> None:
    """Show the versions older than the newest KEEP_LAST, of DATASET or of all, with their cost; YES=1 deletes them.

    Failed snapshots are deleted too. Only snapshots that this registry created are deleted, and never one that is
    incomplete, that a live experiment or an image was created from, or that an experiment file pins. If AWS refuses
    to delete one, the others are still deleted.

    Exit status: 1 if a deletion failed; 3 if a region did not respond.
    """
    from ec2lab.datasets.costs import price_snapshots
    from ec2lab.datasets.dataset import data_registries, list_snapshots_in, meant_dataset, snapshots_in, usable
    from ec2lab.datasets.prune import in_use, not_ours, surplus
    from ec2lab.events import RegionsUnavailable
    from ec2lab.regions import region_names
    from ec2lab.resources.live_in_aws import known_regions
    from ec2lab.session import open_session
    from ec2lab.units import counted

    if keep < 1:
        raise UserError("KEEP_LAST: how many versions of each dataset to keep? (KEEP_LAST=2)")
    console = Console(as_json=as_json)
    with open_session("dataset-prune") as session:
        console.hint(session.cloud.banner)
        places = region_names(regions) or known_regions(session)
        responses = list_snapshots_in(session, places, dataset or None)
        if dataset and not (snapshots_in(responses) or responses.unseen):
            meant = meant_dataset(session, places, dataset)
            raise UserError(f"DATASET: {dataset} is in none of {', '.join(places)}{meant}")
        there = usable(snapshots_in(responses), data_registries(session))
        beyond, use = surplus(there, keep), in_use(session, there)
        for line in use.broken:
            warn(line)
        reasons = not_ours(session, beyond) | use.reasons
        costs = price_snapshots(session, beyond)
        for one in costs.snapshots:
            show(console, one, reasons.get(one.snapshot.id, ""))
        console.emit(*use.unknown, *costs.unknown)
        console.emit(*RegionsUnavailable.by_reason(responses.unseen))
        doomed = [snapshot for snapshot in beyond if snapshot.id not in reasons]
        if not doomed:
            seen = " that could be seen" if responses.unseen else ""
            most = counted(keep, "unused version")
            console.hint(f"nothing to delete: no dataset has more than {most} in a region{seen}")
        elif not yes:
            console.hint(f"nothing was deleted; run again with YES=1 to delete {counted(len(doomed), 'snapshot')}")
        else:
            delete_all(session, console, doomed)
    exit_if_incomplete(responses.unseen)


def show(console: Console, one: PricedSnapshot, why: str) -> None:
    from ec2lab.events.datasets import InUse
    from ec2lab.events.teardown import WouldDelete

    snapshot = one.snapshot
    known: dict[str, Any] = {
        "resource_type": "snapshot", "id": snapshot.id, "region": snapshot.region, "experiment": None,
        "name": snapshot.name, "dollars_per_month": one.dollars,
    }  # fmt: skip
    console.emit(InUse(**known, reason=why) if why else WouldDelete(**known))


def delete_all(session: Session, console: Console, doomed: list[DataSnapshot]) -> None:
    """Delete all snapshots, continuing after errors. Raises UserError that names those that AWS did not delete."""
    from ec2lab.datasets.prune import delete
    from ec2lab.events.datasets import Deleted

    stays = []
    for snapshot in doomed:
        if why := delete(session.cloud, snapshot):
            stays.append(f"{snapshot.id} ({snapshot.region}): {why}")
        else:
            console.emit(Deleted(id=snapshot.id))
    if stays:
        raise UserError(f"{len(stays)} of {len(doomed)} not deleted: {'; '.join(stays)}")


if __name__ == "__main__":
    run(app)
