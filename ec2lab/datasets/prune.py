"""Which versions of datasets can be deleted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from botocore.exceptions import ClientError

from ec2lab.aws.cloud import Cloud
from ec2lab.aws.errors import AWS_ERRORS, reason
from ec2lab.aws.tags import EXPERIMENT, from_aws
from ec2lab.config.lab_files import experiment_files, load_experiment
from ec2lab.datasets.dataset import DataSnapshot, by_age
from ec2lab.errors import UserError
from ec2lab.events import Unavailable
from ec2lab.files import LARGEST, read_bytes
from ec2lab.resources.snapshot import images_of
from ec2lab.session import Session


def surplus(snapshots: Iterable[DataSnapshot], keep: int) -> list[DataSnapshot]:
    """Return the versions beyond the newest `keep` completed ones of each dataset and region, and failed ones.

    Pending ones are not counted and not returned: somebody may wait for them.
    """
    there = list(snapshots)
    complete = sorted((s for s in there if s.completed), key=lambda s: (s.dataset, s.region))
    going: list[DataSnapshot] = []
    for _, group in groupby(complete, key=lambda s: (s.dataset, s.region)):
        going += [snapshot for version in by_age(group)[keep:] for snapshot in version]
    return going + [s for s in there if s.state == "error"]


def not_ours(session: Session, snapshots: Sequence[DataSnapshot]) -> dict[str, str]:
    """Return, by snapshot, why it is not this registry's to delete, whatever its name says."""
    account, ownership = session.cloud.account, session.records.ownership(session.records.state_with_history())
    resource_type = session.resource_types["snapshot"]
    found: dict[str, str] = {}
    for snapshot in snapshots:
        if snapshot.owner != account.id:
            found[snapshot.id] = f"of account {snapshot.owner}"
        elif snapshot.registry and snapshot.registry not in ownership.registries:
            found[snapshot.id] = f"created by the registry {snapshot.registry[:8]}…"
        elif not ownership.proves(resource_type, snapshot.as_described):
            found[snapshot.id] = "not created by this registry: delete it in the AWS console"
    return found


@dataclass(frozen=True, slots=True)
class Use:
    """Why snapshots may not be deleted, and which reasons could not be checked."""

    reasons: dict[str, str]  # by snapshot
    unknown: Sequence[Unavailable]
    broken: Sequence[str]  # errors of unreadable experiment files


def in_use(session: Session, snapshots: Sequence[DataSnapshot]) -> Use:
    """Return why snapshots are in use: a live volume was created from one, an image uses it, or an experiment pins it.

    If a region does not tell what is live, its snapshots stay. An unknown image needs no reason: AWS refuses to delete
    its snapshots.
    """
    regions = sorted({snapshot.region for snapshot in snapshots})
    volumes = session.queries.run({(region, "volumes"): partial(_made_from, session, region) for region in regions})
    images = session.queries.run({(region, "images"): partial(_in_images, session.cloud, region) for region in regions})
    silent = {s.id: f"unknown whether anything was launched from it: {volumes.unseen[s.region]}" for s in snapshots
              if s.region in volumes.unseen}  # fmt: skip
    live = {snapshot: why for some in volumes.found.values() for snapshot, why in some.items()}
    used = {snapshot: why for some in images.found.values() for snapshot, why in some.items()}
    usable = [s for s in snapshots if s.state != "error"]
    pinned, broken = _pinned(session.directory, usable)
    unknown = [
        Unavailable(what="images created from them", region=region, reason=why) for region, why in images.unseen.items()
    ]
    return Use(used | pinned | silent | live, unknown, broken)


def _made_from(session: Session, region: str) -> dict[str, str]:
    """Return the snapshots from which experiments' volumes in a region were created, and the experiments."""
    found = session.resource_types["volume"].find(session.cloud, region, [{"Name": "tag-key", "Values": [EXPERIMENT]}])
    return {
        volume["SnapshotId"]: f"{from_aws(volume['Tags']).get(EXPERIMENT, volume['VolumeId'])} uses it"
        for volume in found
        if volume.get("SnapshotId")
    }


def _in_images(cloud: Cloud, region: str) -> dict[str, str]:
    """Return the snapshots that the account's images in a region use, and the images."""
    return {
        snapshot: f"the image {image} uses it: deregister that first"
        for image, snapshot in images_of(cloud.ec2(region))
    }


def _pinned(directory: Path, snapshots: Sequence[DataSnapshot]) -> tuple[dict[str, str], list[str]]:
    """Return the snapshots that experiment files pin, and the errors of unreadable files.

    An unreadable file pins whatever its text may name.
    """
    pinned: dict[str, str] = {}
    broken = []
    for path in experiment_files(directory):
        file = f"experiments/{path.name}"
        try:
            data = load_experiment(directory, path.stem).data
        except UserError as problem:
            broken.append(str(problem))
            why = f"{file}, which can't be read, may pin it"
            pinned |= {s.id: why for s in snapshots if _may_name(path, s)}
        else:
            pins = {(one.dataset, one.version) for one in data}
            pinned |= {s.id: f"{file} pins it" for s in snapshots if (s.dataset, s.version) in pins}
    return pinned, broken


def _may_name(path: Path, snapshot: DataSnapshot) -> bool:
    try:
        text = read_bytes(path, LARGEST)
    except OSError:
        return True
    return snapshot.dataset.encode() in text and snapshot.version.encode() in text


def delete(cloud: Cloud, snapshot: DataSnapshot) -> str:
    """Delete a snapshot; one that is gone already is fine. Return why AWS refuses, if it does."""
    try:
        cloud.ec2(snapshot.region).delete_snapshot(SnapshotId=snapshot.id)
    except AWS_ERRORS as problem:
        if isinstance(problem, ClientError) and problem.response["Error"]["Code"] == "InvalidSnapshot.NotFound":
            return ""
        return reason(problem)
    return ""
