"""Copy a data set's snapshot to other regions, so that launches find it there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.core.console import Console, run
from scripts.core.errors import LabError
from scripts.core.options import AsJson, script

if TYPE_CHECKING:
    from scripts.core.snapshot_copying import Copy

app = script(__doc__)
DataSet = Annotated[str, typer.Option("--dataset", envvar="DATASET", help="The data set.")]
Version = Annotated[str, typer.Option("--version", envvar="VERSION", help="Its version; the newest if left out.")]
Regions = Annotated[str, typer.Option("--regions", envvar="REGIONS", help="Where to, separated by spaces.")]


@app.command()
def snapshot_copy(dataset: DataSet = "", version: Version = "", regions: Regions = "", as_json: AsJson = False) -> None:
    """Copy DATASET to REGIONS, to all at once, and wait until it is there.

    The tags go with it, the copies are encrypted. It may be left (Ctrl-C) and run again: what is there, or on its way,
    is not copied twice. Exit 1 if any region failed.
    """
    from scripts.core.session import open_session
    from scripts.core.snapshot_copying import copied, source_of

    console = Console(as_json=as_json)

    def report(copy: Copy) -> None:
        said = copy.failure or " ".join(filter(None, (copy.state, copy.progress)))
        console.say(f"  {copy.region}  {copy.id} {said}", "copy", style="red" if copy.failure else None,
                    region=copy.region, id=copy.id, state=copy.state, progress=copy.progress,
                    failure=copy.failure)  # fmt: skip

    wanted = checked(dataset, regions)
    with open_session("snapshot-copy") as session:
        console.hint(session.cloud.banner)
        source = source_of(session, dataset, version or None)
        console.hint(f"{source.name}: {source.snapshot['SnapshotId']} in {source.region}, to {', '.join(wanted)}")
        copies = copied(session, source, wanted, report)
    if failed := [copy.region for copy in copies if copy.failure]:
        raise LabError(f"{dataset}: not copied to {', '.join(failed)}; mend that and run this again")


def checked(dataset: str, regions: str) -> list[str]:
    """Return the regions named. Raises LabError where anything is missing or can't be."""
    if not dataset or not regions.split():
        raise LabError('DATASET, REGIONS: what is copied, and where to? (DATASET=speech REGIONS="us-west-2 eu-west-1")')
    for region in regions.split():
        if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", region):
            raise LabError(f"REGIONS: {region!r} is not a region (try us-east-1)")
    return list(dict.fromkeys(regions.split()))


if __name__ == "__main__":
    run(app)
