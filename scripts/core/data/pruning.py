"""Which versions of data sets nobody needs any more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from botocore.exceptions import ClientError

from scripts.core.aws.tags import EXPERIMENT, tag_map
from scripts.core.data.data_sets import DataSnapshot, by_age
from scripts.core.lab.config import load_experiment
from scripts.core.session import Session


def surplus(snapshots: Iterable[DataSnapshot], keep: int) -> list[DataSnapshot]:
    """Return what goes beyond the newest `keep` complete versions of each data set in each region, and what failed.

    What is still pending counts for none and is not returned: it may be the version that somebody waits for.
    """
    there = list(snapshots)
    complete = sorted((s for s in there if s.completed), key=lambda s: (s.dataset, s.region))
    going: list[DataSnapshot] = []
    for _, group in groupby(complete, key=lambda s: (s.dataset, s.region)):
        going += [snapshot for version in by_age(group)[keep:] for snapshot in version]
    return going + [s for s in there if s.state == "error"]


def not_ours(session: Session, snapshots: Sequence[DataSnapshot]) -> dict[str, str]:
    """Return, by snapshot, why it is not this registry's to delete, whatever its name says."""
    account, ownership = session.cloud.account, session.ownership(session.holdings_ever())
    kind = session.kinds["snapshot"]
    found: dict[str, str] = {}
    for snapshot in snapshots:
        if snapshot.owner != account.id:
            found[snapshot.id] = f"of account {snapshot.owner}"
        elif snapshot.registry and snapshot.registry not in ownership.registries:
            found[snapshot.id] = f"made by the registry {snapshot.registry[:8]}…"
        elif not ownership.proves(kind, snapshot.as_described):
            found[snapshot.id] = "not made by this registry: delete it in the AWS console"
    return found


def in_use(session: Session, snapshots: Sequence[DataSnapshot]) -> dict[str, str]:
    """Return, by snapshot, why it may not go: what lives was made from it, or an experiment's file pins its version."""
    asked = [session.threads.submit(_made_from, session, r) for r in sorted({s.region for s in snapshots})]
    living = {snapshot: why for answer in asked for snapshot, why in answer.result().items()}
    pinned = _pinned(session)
    usable = [s for s in snapshots if s.state != "error"]
    return {s.id: pinned[s.dataset, s.version] for s in usable if (s.dataset, s.version) in pinned} | living


def _made_from(session: Session, region: str) -> dict[str, str]:
    """Return which snapshots the volumes of experiments in a region were made from, and by which."""
    found = session.kinds["volume"].find(session.cloud, region, [{"Name": "tag-key", "Values": [EXPERIMENT]}])
    return {
        volume["SnapshotId"]: f"{tag_map(volume['Tags'])[EXPERIMENT]} lives on it"
        for volume in found
        if volume.get("SnapshotId")
    }


def _pinned(session: Session) -> dict[tuple[str, str], str]:
    files = sorted((session.directory / "experiments").glob("*.toml"))
    experiments = [(path.stem, load_experiment(session.directory, path.stem)) for path in files]
    return {
        (data.dataset, data.version): f"experiments/{name}.toml pins it"
        for name, experiment in experiments
        for data in experiment.data
        if data.version
    }


def delete(session: Session, snapshot: DataSnapshot) -> None:
    """Delete a snapshot; one that is gone already is no failure."""
    try:
        session.cloud.ec2(snapshot.region).delete_snapshot(SnapshotId=snapshot.id)
    except ClientError as refusal:
        if refusal.response["Error"]["Code"] != "InvalidSnapshot.NotFound":
            raise
