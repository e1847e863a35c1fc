"""Copies a dataset's snapshot to other regions, in parallel, ahead of launches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from ec2lab.aws.error_codes import ApiError
from ec2lab.aws.errors import in_words
from ec2lab.aws.region_queries import not_seen
from ec2lab.aws.tags import DATASET, VERSION, tag_specifications
from ec2lab.context import ContextThreadPool
from ec2lab.datasets.dataset import (
    DataSnapshot,
    data_registries,
    list_snapshots,
    list_snapshots_in,
    meant_dataset,
    newest,
    snapshots_in,
    usable,
)
from ec2lab.datasets.versions import wait_until_completed
from ec2lab.errors import UserError
from ec2lab.resources.idempotency import find_or_create
from ec2lab.session import Session
from ec2lab.units import duration_in


@dataclass(slots=True)
class Copy:
    """One copy: pending, completed or failed."""

    region: str
    id: str = ""
    state: str = ""
    percent: float = 0.0
    waits: str = ""  # why AWS does not accept it yet
    failure: str = ""


Report = Callable[[Copy], None]


def source_of(session: Session, dataset: str, version: str | None) -> tuple[DataSnapshot, Mapping[str, str]]:
    """Return the newest completed snapshot of a dataset or version, in the first of the lab's regions that has it.

    Also return, by region, why others could not be queried. Raises UserError where none is found.
    """
    responses = list_snapshots_in(session, session.lab.regions, dataset)
    there = usable(snapshots_in(responses), data_registries(session))
    wanted = [snapshot for snapshot in there if version in (None, snapshot.version)]
    unseen = responses.unseen
    if not (found := newest(wanted)):
        named = f"{dataset}@{version}" if version else dataset
        regions = ", ".join(region for region in session.lab.regions if region not in unseen)
        meant = meant_dataset(session, session.lab.regions, dataset)
        lacks = f"no region of the lab ({regions}) has a completed snapshot of {named}{meant}" if regions else ""
        raise UserError(f"DATASET: {'; '.join(filter(None, (lacks, *not_seen(unseen))))}")
    same = [snapshot for snapshot in wanted if snapshot.completed and snapshot.version == found.version]
    return min(same, key=lambda snapshot: session.lab.regions.index(snapshot.region)), unseen


@dataclass(frozen=True)
class SnapshotCopier:
    """Copies one snapshot to several regions. `report` is called for every change, from several threads."""

    session: Session
    source: DataSnapshot
    report: Report
    within: timedelta | None = None  # the time within which AWS is paid to complete; by default best effort

    def run(self, regions: Sequence[str]) -> list[Copy]:
        """Copy to regions in parallel until each copy is complete or has failed; a failure stops no other.

        An existing copy, complete or pending, is used.
        """
        # For hours and any number; the session's own threads are for short calls.
        with ContextThreadPool(len(regions)) as threads:
            try:
                return list(threads.map(self._to, regions))
            except BaseException:
                self.session.over.set()
                raise

    def _to(self, region: str) -> Copy:
        copy = Copy(region)
        try:
            with in_words():
                self._begin(copy)
                self._follow(copy)
        except UserError as problem:
            copy.failure = str(problem)
            self.report(copy)
        return copy

    def _begin(self, copy: Copy) -> None:
        tags = self.source.copied_tags()
        known = {DATASET: self.source.dataset, VERSION: self.source.version}
        found, _ = find_or_create(
            self.session,
            ("CopySnapshot", copy.region, known),
            lambda: self._there(copy.region),
            lambda: self._copy(copy.region, tags),
            lambda error: self._waits(copy, error),
        )
        self._show(copy, found)

    def _there(self, region: str) -> DataSnapshot | None:
        there = usable(list_snapshots(self.session.cloud, region, self.source.dataset), data_registries(self.session))
        same = [s for s in there if s.version == self.source.version and s.state != "error"]
        return max(same, key=lambda snapshot: (snapshot.completed, snapshot.started), default=None)

    def _copy(self, region: str, tags: dict[str, str]) -> DataSnapshot:
        request: dict[str, Any] = {
            "SourceRegion": self.source.region,
            "SourceSnapshotId": self.source.id,
            "Description": f"{self.source.name}, from {self.source.region}",
            "Encrypted": True,
            "TagSpecifications": tag_specifications(tags, "snapshot"),
        }
        if key := self.session.lab.kms_keys.get(region):
            request["KmsKeyId"] = key
        if self.within:
            request["CompletionDurationMinutes"] = round(self.within.total_seconds() / 60)
        answer = self.session.cloud.ec2_no_retry(region).copy_snapshot(**request)
        if not answer.get("Tags"):
            command = f"aws ec2 delete-snapshot --region {region} --snapshot-id {answer['SnapshotId']}"
            raise UserError(f"the copy {answer['SnapshotId']} has no tags, so no launch would find it (`{command}`)")
        return replace(self.source, region=region, id=answer["SnapshotId"], state="pending", progress="0%", tags=tags)

    def _waits(self, copy: Copy, error: ApiError) -> None:
        copy.waits = f"{error}; retrying soon"
        self.report(copy)

    def _follow(self, copy: Copy) -> None:
        self.report(copy)
        if copy.state != "completed":
            wait_until_completed(self.session, copy.region, copy.id, lambda found: self._report(copy, found))

    def _report(self, copy: Copy, found: DataSnapshot) -> None:
        self._show(copy, found)
        self.report(copy)

    def _show(self, copy: Copy, found: DataSnapshot) -> None:
        copy.id, copy.state, copy.percent, copy.waits = found.id, found.state, found.percent, ""


SHORTEST, LONGEST, STEP = timedelta(minutes=15), timedelta(days=2), timedelta(minutes=15)
"""https://docs.aws.amazon.com/ebs/latest/userguide/time-based-copies.html"""


def completion_time(text: str) -> timedelta | None:
    """Parse COMPLETE_WITHIN as a duration that AWS sells, None where it is empty. Raises UserError."""
    if not text:
        return None
    wanted = duration_in("COMPLETE_WITHIN", text)
    if not SHORTEST <= wanted <= LONGEST or wanted % STEP:
        raise UserError(f"COMPLETE_WITHIN: {text}: AWS offers 15m to 2d, in steps of 15 minutes (try 2h)")
    return wanted
