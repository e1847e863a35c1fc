"""Copy a dataset's snapshot to other regions, ahead of launches there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ec2lab.console import Console, exit_if_incomplete, run
from ec2lab.errors import UserError
from ec2lab.options import AsJson, DatasetName, Regions, Version, option, script
from ec2lab.regions import region_names

if TYPE_CHECKING:
    from ec2lab.datasets.copy import Copy, Report
    from ec2lab.datasets.dataset import DataSnapshot
    from ec2lab.progress import ProgressBars

app = script(__doc__)
Within = Annotated[str, option("COMPLETE_WITHIN", "Pay for completion within this time, 15m to 2d.")]


@app.command()
def snapshot_copy(
    dataset: DatasetName = "",
    version: Version = "",
    regions: Regions = "",
    within: Within = "",
    as_json: AsJson = False,
) -> None:
    """Copy DATASET to all REGIONS in parallel and wait until the copies are complete.

    The copies are encrypted and have the original's tags. If you interrupt it (Ctrl-C), run it again: complete or
    pending copies are not repeated.

    Exit status: 1 if a region failed; 3 if one of the lab's regions, which may have a newer version, did not
    respond.
    """
    from ec2lab.datasets.copy import SnapshotCopier, completion_time, source_of
    from ec2lab.events import RegionsUnavailable
    from ec2lab.progress import progress_bars
    from ec2lab.session import open_session

    wanted = region_names(regions)
    if not dataset or not wanted:
        raise UserError(
            'DATASET, REGIONS: what is copied, and where to? (DATASET=speech REGIONS="us-west-2 eu-west-1")'
        )
    console, time = Console(as_json=as_json), completion_time(within)
    with open_session("snapshot-copy") as session:
        console.hint(session.cloud.banner)
        source, unseen = source_of(session, dataset, version or None)
        console.hint(f"{source.name}: {source.id} in {source.region}, to {', '.join(wanted)}")
        console.emit(*RegionsUnavailable.by_reason(unseen))
        with progress_bars(console) as bars:
            copies = SnapshotCopier(session, source, reporting(console, bars, source), time).run(wanted)
    for copy in copies:
        if copy.failure:
            console.hint(f"  {copy.region}  {copy.failure}")
    if failed := [copy.region for copy in copies if copy.failure]:
        raise UserError(f"{dataset}: not copied to {', '.join(failed)}; fix that and run this again")
    exit_if_incomplete(unseen)


def reporting(console: Console, bars: ProgressBars, source: DataSnapshot) -> Report:
    from ec2lab.events.datasets import CopyProgress

    def report(copy: Copy) -> None:
        said = copy.failure or copy.waits or f"{copy.id} {copy.state} {copy.percent:.0f}%"
        bars.show(copy.region, source.size * copy.percent / 100, source.size, said)
        console.emit(
            CopyProgress(
                region=copy.region, id=copy.id, state=copy.state, percent=copy.percent, waiting_for=copy.waits,
                failure=copy.failure,
            )
        )  # fmt: skip

    return report


if __name__ == "__main__":
    run(app)
