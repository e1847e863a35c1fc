"""Build a version of a dataset from a local directory, tarball or disk image, or from a bucket."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from ec2lab.console import Console, run
from ec2lab.errors import UserError
from ec2lab.options import FILE, AsJson, DatasetName, NewVersion, option, script

if TYPE_CHECKING:
    from pathlib import Path

app = script(__doc__)
From = Annotated[str, option("SOURCE", "./directory, file.tar, disk.img or s3://bucket/prefix.", metavar=FILE)]
Size = Annotated[str, option("SIZE", "Volume size: 500G, 2T. Default (not for s3://): what fits.")]
Regions = Annotated[str, option("REGIONS", "Default: the lab's first region; for a bucket, any with capacity.")]
BUCKET = "s3://"


@app.command()
def dataset_build(
    dataset: DatasetName = "", source: From = "", size: Size = "", version: NewVersion = "", regions: Regions = "",
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Build a new version of DATASET from SOURCE.

    A local SOURCE needs no instance: its file system image is uploaded to a snapshot, only the blocks that differ
    from the previous version. If you interrupt it (Ctrl-C), run it again: it resumes and uploads no block twice.

    For a bucket (s3://…), a temporary instance downloads everything to a new volume, compares it with the bucket
    and snapshots the volume.
    """
    from pathlib import Path

    from ec2lab.regions import region_names

    if not dataset or not source:
        raise UserError("DATASET, SOURCE: what is built, and from what? (DATASET=speech SOURCE=./recordings)")
    console, gib, places = Console(as_json=as_json), parse_size(size), region_names(regions)
    if source.startswith(BUCKET):
        from_bucket(console, dataset, source, gib, version or None, places)
    elif len(places) > 1:
        raise UserError(
            f"REGIONS: it is built in one region; `make snapshot-copy DATASET={dataset}` copies it to others"
        )
    else:
        build_from_local(console, dataset, Path(source).expanduser(), gib, version or None, places)


def parse_size(size: str) -> int | None:
    if not size:
        return None
    if not (found := re.fullmatch(r"([1-9]\d*)([GT])", size.upper())):
        raise UserError(f"SIZE: {size!r} is not a size (try 500G or 2T)")
    return int(found[1]) * (1024 if found[2] == "T" else 1)


def build_from_local(
    console: Console, dataset: str, source: Path, gib: int | None, version: str | None, places: list[str]
) -> None:
    from ec2lab.datasets.build_local import DatasetBuilder
    from ec2lab.datasets.disk_image import disk_image
    from ec2lab.events.datasets import DatasetBuilt, Unchanged
    from ec2lab.files import private_directory
    from ec2lab.progress import progress_bars
    from ec2lab.session import open_session

    with (
        open_session("dataset-build") as session,
        session.registry.lock_experiment(f"build-{dataset}", "dataset-build"),
        progress_bars(console) as bars,
    ):
        console.hint(session.cloud.banner)
        work = session.directory / ".datasets"
        try:
            private_directory(work)
        except OSError as problem:
            raise UserError(f"{work}: can't be made private: {problem.strerror}; move it away") from problem
        region = places[0] if places else session.lab.regions[0]
        building = DatasetBuilder(session, dataset, version, region, work, lambda said: console.hint(f"  {said}"))
        with disk_image(source, dataset, work, gib) as image:
            snapshot, sent = building.build(
                image, str(source.resolve()), lambda done, total: bars.show("blocks", done, total, "")
            )
    if not sent:
        console.emit(Unchanged(dataset=dataset, version=snapshot.version, id=snapshot.id))
        return
    console.emit(
        DatasetBuilt(
            dataset=dataset, source=str(source), id=snapshot.id, region=region, version=snapshot.version, blocks=sent
        )
    )
    console.hint(f"  `make snapshot-copy DATASET={dataset} REGIONS=…` copies it to other regions")


def from_bucket(
    console: Console, dataset: str, source: str, gib: int | None, version: str | None, places: list[str]
) -> None:
    from ec2lab.launch.build_from_s3 import build_from_bucket
    from ec2lab.session import locked_session

    if gib is None:
        raise UserError("SIZE: how large is the volume? It cannot be computed from a bucket (SIZE=2T)")
    with locked_session(f"build-{dataset}", "dataset-build") as session:
        build_from_bucket(session, console, dataset, source, gib, version, places)


if __name__ == "__main__":
    run(app)
