"""Read a version of a dataset back, block by block, and verify its checksums."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ec2lab.console import Console, exit_if_incomplete, run
from ec2lab.errors import UserError
from ec2lab.options import AsJson, DatasetName, Regions, Version, script

if TYPE_CHECKING:
    from ec2lab.datasets.dataset import DataSnapshot
    from ec2lab.session import Session

app = script(__doc__)


@app.command()
def dataset_verify(
    dataset: DatasetName = "", version: Version = "", regions: Regions = "", as_json: AsJson = False
) -> None:
    """Read DATASET's newest version (or VERSION) back in the lab's regions (or REGIONS) and verify it.

    Each block is compared with AWS's checksum, and all of them with the digest that the build stored in a tag of
    the snapshot.

    Exit status: 0 if everything matches; 1 if anything differs; 3 if a region did not respond.
    """
    from ec2lab.aws.region_queries import not_seen
    from ec2lab.datasets.dataset import data_registries, list_snapshots_in, meant_dataset, newest, snapshots_in, usable
    from ec2lab.events import RegionsUnavailable
    from ec2lab.regions import region_names
    from ec2lab.session import open_session

    if not dataset:
        raise UserError("DATASET: which dataset? (DATASET=speech)")
    console = Console(as_json=as_json)
    with open_session("dataset-verify") as session:
        console.hint(session.cloud.banner)
        places = region_names(regions) or session.lab.regions
        responses = list_snapshots_in(session, places, dataset)
        there = usable(snapshots_in(responses), data_registries(session))
        meant = [newest(s for s in there if s.region == r and version in ("", s.version)) for r in places]
        found = [snapshot for snapshot in meant if snapshot]
        if not found:
            seen = ", ".join(region for region in places if region not in responses.unseen)
            lacks = f"{dataset}{f'@{version}' if version else ''} is in none of {seen}" if seen else ""
            lacks += meant_dataset(session, places, dataset)
            raise UserError(f"DATASET: {'; '.join(filter(None, (lacks, *not_seen(responses.unseen))))}")
        console.emit(*RegionsUnavailable.by_reason(responses.unseen))
        failed = [f"{s.id} in {s.region}" for s in found if not verify_snapshot(session, s, console)]
    if failed:
        raise UserError(f"{dataset}: {', '.join(failed)}: differs from what was built; build or copy it again")
    exit_if_incomplete(responses.unseen)


def verify_snapshot(session: Session, snapshot: DataSnapshot, console: Console) -> bool:
    """Verify one snapshot and print the result. Raises UserError if it has no digest to compare with."""
    from ec2lab.datasets.dataset import BLOCKS
    from ec2lab.datasets.ebs_direct import DirectSnapshots, whole
    from ec2lab.events.datasets import SnapshotVerified
    from ec2lab.progress import progress_bars

    if not (built := snapshot.tags.get(BLOCKS)):
        raise UserError(f"{snapshot.name}: was not built block by block, so there is nothing to compare it with")
    with progress_bars(console) as bars:
        read = DirectSnapshots(session, snapshot.region).digests(
            snapshot.id, lambda done, total: bars.show(snapshot.region, done, total, "")
        )
    same = whole(read) == built
    console.emit(
        SnapshotVerified(
            id=snapshot.id, region=snapshot.region, dataset=snapshot.dataset, version=snapshot.version, same=same,
            blocks=len(read),
        )
    )  # fmt: skip
    return same


if __name__ == "__main__":
    run(app)
