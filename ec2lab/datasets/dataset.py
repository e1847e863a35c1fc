"""Datasets: named, versioned snapshots, in the regions where they were built or copied to.

A dataset belongs to the lab, not to an experiment, and exists only in AWS: in its snapshots' tags.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from ec2lab.aws.cloud import Cloud
from ec2lab.aws.errors import RegionUnavailable
from ec2lab.aws.region_queries import Responses
from ec2lab.aws.tags import BY, BYTES, DATASET, RECORD, REGISTRY, VERSION, from_aws, to_aws
from ec2lab.errors import UserError
from ec2lab.registry.record import parse_time
from ec2lab.resources.snapshot import stored_bytes
from ec2lab.validators import did_you_mean

if TYPE_CHECKING:
    from ec2lab.session import Session

LABEL, UUID, FILESYSTEM, SOURCE = "lab:label", "lab:uuid", "lab:filesystem", "lab:source"
"""Tags of a snapshot about its file system and its origin."""
LAYOUT = "lab:layout"  # "parts" where the file system is not on the whole disk: on a partition or a logical volume
MADE = "lab:created-at"
"""On a copy: the start time of the original. It makes a version older than it looks, never newer."""
BLOCKS = "lab:blocks"  # the digest of all its blocks, if the lab wrote them
PARENT = "lab:parent"  # the snapshot in the same region on which its blocks are based


@dataclass(frozen=True, slots=True)
class DataSnapshot:
    """A version of a dataset in one region."""

    dataset: str
    version: str
    region: str
    id: str
    state: str  # pending, completed or error
    progress: str  # as AWS gives it: "37%"
    gib: int  # the size of the original volume
    started: str  # RFC 3339
    encrypted: bool
    stored: int | None  # bytes of all its blocks, where AWS says
    failure: str  # why it failed, if it did
    tags: Mapping[str, str]
    owner: str = ""  # the account that owns it
    volume: str = ""  # the original volume, where AWS says; of a copy, a volume that does not exist

    @classmethod
    def of(cls, found: Mapping[str, Any], region: str) -> DataSnapshot:
        """Parse an item of DescribeSnapshots."""
        tags = from_aws(found.get("Tags"))
        started = found["StartTime"]
        return cls(
            dataset=tags.get(DATASET, ""), version=tags.get(VERSION, "?"), region=region, id=found["SnapshotId"],
            state=found["State"], progress=found.get("Progress", ""), gib=found["VolumeSize"],
            started=started if isinstance(started, str) else started.isoformat(), encrypted=found["Encrypted"],
            stored=found.get("FullSnapshotSizeInBytes"), failure=found.get("StateMessage", ""), tags=tags,
            owner=found.get("OwnerId", ""), volume=found.get("VolumeId", ""),
        )  # fmt: skip

    @property
    def is_whole_disk(self) -> bool:
        """Whether the file system is known to be on the whole disk, not on a partition or logical volume."""
        return UUID in self.tags and LAYOUT not in self.tags

    @property
    def name(self) -> str:
        """The dataset and its version: speech@1."""
        return f"{self.dataset}@{self.version}"

    @property
    def completed(self) -> bool:
        return self.state == "completed"

    @property
    def registry(self) -> str:
        """The registry that created it; empty where it was tagged by hand."""
        return self.tags.get(REGISTRY, "")

    @property
    def made(self) -> str:
        """When the version was created, RFC 3339, which orders versions: names are only names.

        AWS's own time. A copy starts later than its original, and has the original's time as a tag; a tag with a later
        time than AWS's is ignored.
        """
        return min((self.started, *_moments(self.tags.get(MADE))), key=_moment, default="") if self.started else ""

    @property
    def as_described(self) -> dict[str, Any]:
        """The parts of AWS's description that prove its creator and determine its cost."""
        return {
            "SnapshotId": self.id, "Tags": to_aws(self.tags), "StartTime": self.started, "VolumeId": self.volume,
            "VolumeSize": self.gib, "FullSnapshotSizeInBytes": self.stored,
        }  # fmt: skip

    @property
    def percent(self) -> float:
        """Its progress, 0 to 100."""
        digits = self.progress.rstrip("%")
        return 100.0 if self.completed else float(digits) if digits.replace(".", "").isdecimal() else 0.0

    @property
    def size(self) -> int:
        """Its maximum size in bytes."""
        return stored_bytes(self.as_described) or 0

    def copied_tags(self) -> dict[str, str]:
        """Return the tags to copy: all but those about its creation."""
        stays = (RECORD, REGISTRY, BY, PARENT)
        own = {key: value for key, value in self.tags.items() if key not in stays and not key.startswith("aws:")}
        return {**own, MADE: self.made}


def data_registries(session: Session) -> Collection[str]:
    """Return the ids of the registries whose datasets the lab uses: its own, and those in lab.toml."""
    return {*session.records.registry_ids(), *session.lab.data_of}


def list_snapshots(cloud: Cloud, region: str, dataset: str | None = None) -> list[DataSnapshot]:
    """Describe the snapshots of all datasets in a region, or of one."""
    wanted = {"Name": f"tag:{DATASET}", "Values": [dataset]} if dataset else {"Name": "tag-key", "Values": [DATASET]}
    pages = cloud.ec2(region).get_paginator("describe_snapshots")
    found = pages.paginate(OwnerIds=["self"], Filters=[wanted])  # type: ignore[list-item]
    return [DataSnapshot.of(snapshot, region) for page in found for snapshot in page["Snapshots"]]


def list_snapshots_in(
    session: Session, regions: Iterable[str], dataset: str | None = None
) -> Responses[list[DataSnapshot]]:
    """Describe them in several regions in parallel, each with a deadline."""
    return session.queries.run(
        {(region, DATASET): partial(list_snapshots, session.cloud, region, dataset) for region in regions}
    )


def meant_dataset(session: Session, regions: Iterable[str], dataset: str) -> str:
    """Return ` (did you mean "…"?)` for a name that no dataset in these regions has, which AWS is asked for."""
    known = {snapshot.dataset for snapshot in snapshots_in(list_snapshots_in(session, regions))}
    return "" if dataset in known else did_you_mean(dataset, known)


def snapshots_in(responses: Responses[list[DataSnapshot]]) -> list[DataSnapshot]:
    return [snapshot for found in responses.found.values() for snapshot in found]


def by_age(snapshots: Iterable[DataSnapshot]) -> list[list[DataSnapshot]]:
    """Sort the snapshots of one dataset by version, newest version first, and by age within a version.

    A version is as old as its oldest snapshot: a later copy by whatever tool does not make it newer.
    """
    versions: dict[str, list[DataSnapshot]] = {}
    for snapshot in sorted(snapshots, key=_age):
        versions.setdefault(snapshot.version, []).append(snapshot)
    return list(versions.values())[::-1]


def _age(snapshot: DataSnapshot) -> tuple[datetime, int]:
    """Return the sort key of versions; among those started at the same time, the higher number is newer."""
    return _moment(snapshot.made), int(snapshot.version) if snapshot.version.isdecimal() else 0


def newest(snapshots: Iterable[DataSnapshot]) -> DataSnapshot | None:
    """Return the completed snapshot of the newest version."""
    versions = by_age(snapshot for snapshot in snapshots if snapshot.completed)
    return versions[0][0] if versions else None


def _moments(text: str | None) -> list[str]:
    try:
        return [text] if text and parse_time(text) else []
    except ValueError:
        return []


def _moment(text: str) -> datetime:
    return parse_time(text) if text else datetime.max.replace(tzinfo=UTC)


def usable(snapshots: Iterable[DataSnapshot], registries: Collection[str]) -> list[DataSnapshot]:
    """Return the snapshots that may be used: those of some registries, and those tagged by hand in the account.

    Another registry's belong to another lab, whose dataset may have the same name.
    """
    return [snapshot for snapshot in snapshots if not snapshot.registry or snapshot.registry in registries]


def chosen(
    dataset: str, version: str | None, there: Sequence[DataSnapshot], region: str, registries: Collection[str]
) -> DataSnapshot:
    """Return the newest usable completed snapshot of a dataset, or of its pinned version.

    Raises RegionUnavailable.
    """
    every = [snapshot for snapshot in there if snapshot.dataset == dataset]
    of_data_set = usable(every, registries)
    wanted = [snapshot for snapshot in of_data_set if version in (None, snapshot.version)]
    if found := newest(wanted):
        return found
    if under_way := [snapshot for snapshot in wanted if snapshot.state != "error"]:
        progress = ", ".join(f"{s.id} {s.progress or s.state}" for s in under_way)
        raise RegionUnavailable(f"dataset {dataset} is not complete yet in {region} ({progress})")
    if wanted:
        why = ", ".join(f"{s.id}: {s.failure or 'AWS gives no reason'}" for s in wanted)
        raise RegionUnavailable(f"dataset {dataset} failed in {region} ({why}); build it, or copy it there, again")
    if of_data_set:
        command = f"`make snapshot-copy DATASET={dataset} VERSION={version} REGIONS={region}`"
        raise RegionUnavailable(
            f"dataset {dataset} has no version {version} in {region}, only "
            f"{', '.join(sorted({s.version for s in of_data_set}))} ({command} copies it there from another region)"
        )
    if every:
        whose = ", ".join(sorted({snapshot.registry for snapshot in every}))
        raise RegionUnavailable(
            f"dataset {dataset} in {region} belongs to another registry, {whose}; to use it, list that registry in "
            "data_of in lab.toml"
        )
    raise DatasetMissing(dataset, region, {snapshot.dataset for snapshot in there})


class DatasetMissing(RegionUnavailable):
    """A region has no version of a dataset; `known` are the datasets that it has."""

    def __init__(self, dataset: str, region: str, known: Collection[str]) -> None:
        self.dataset, self.known = dataset, known
        copy = f" (`make snapshot-copy DATASET={dataset} REGIONS={region}` copies it there from another region)"
        super().__init__(f"dataset {dataset} is not in {region}{did_you_mean(dataset, known) or copy}")


def in_no_region(lacks: Collection[RegionUnavailable | None]) -> str | None:
    """Return the error that no region has a dataset, with those that exist; None where regions lack something else."""
    missing = [lack for lack in lacks if isinstance(lack, DatasetMissing)]
    if not missing or len(missing) < len(lacks):
        return None
    dataset, known = missing[0].dataset, sorted({name for lack in missing for name in lack.known})
    build = f"`make dataset-build DATASET={dataset} SOURCE=…` builds one"
    hint = did_you_mean(dataset, known) or f" (there is: {', '.join(known)})" if known else f" ({build})"
    return f"dataset {dataset} is in none of them{hint}"


def tags_of(dataset: str, version: str, **more: str | None) -> dict[str, str]:
    """Return the tags of a new snapshot of a dataset; `more` has names of this module's tags.

    Empty ones are dropped. Raises UserError where a tag cannot hold the version.
    """
    if not version or len(version) > 64 or not version.isprintable():  # noqa: PLR2004 - a name, not a text
        raise UserError(f"VERSION: {version!r} is not a valid name for a version (up to 64 characters; try 2026-11)")
    facts = {LABEL: "label", UUID: "uuid", FILESYSTEM: "filesystem", BYTES: "bytes", SOURCE: "source",
             LAYOUT: "layout",
             BLOCKS: "blocks", PARENT: "parent"}  # fmt: skip
    tags = {tag: str(more[name]) for tag, name in facts.items() if more.get(name)}
    return {"Name": f"{dataset}@{version}", DATASET: dataset, VERSION: version, **tags}
