"""Creates a version of a dataset from a volume: the file system is frozen for one call, and the rest is waited for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ec2lab.aws.error_codes import ApiError
from ec2lab.aws.tags import DATASET, RECORD, tag_specifications, to_aws
from ec2lab.datasets.dataset import SOURCE, DataSnapshot, list_snapshots, tags_of
from ec2lab.datasets.versions import numbered, wait_until_completed
from ec2lab.errors import UserError
from ec2lab.hosts.ssh import Host
from ec2lab.registry.evidence import token_of
from ec2lab.resources.idempotency import attempts, find_or_create
from ec2lab.session import Session
from ec2lab.templates import text_of
from ec2lab.volumes.mounted import MountedVolume

MAX_FREEZE = 90
"""Seconds after which the host unfreezes by itself. CreateSnapshot responds within seconds, and times out after 60."""


@dataclass(frozen=True)
class SnapshotBuilder:
    """Creates a version of a dataset from a volume that a host has mounted."""

    session: Session
    dataset: str
    version: str | None  # by default the next number
    region: str
    volume: MountedVolume
    host: Host

    def begin(self, waits: Callable[[ApiError], None]) -> tuple[DataSnapshot, bool]:
        """Return the snapshot, and whether it was created now; an earlier run's is resumed.

        Raises UserError where the version exists from another volume.
        """
        attempt = "CreateSnapshot", self.region, {DATASET: self.dataset, SOURCE: self.volume.id}

        def tokens() -> set[str]:
            return {token_of(intent) for intent in attempts(self.session.records.current(), *attempt)}

        earlier = tokens()
        return find_or_create(self.session, attempt, lambda: self._begun(tokens() - earlier), self._create, waits)

    def follow(self, snapshot: DataSnapshot, report: Callable[[DataSnapshot], None]) -> DataSnapshot:
        """Return the snapshot once it is completed. Raises UserError where it failed or was deleted."""
        report(snapshot)
        return wait_until_completed(self.session, self.region, snapshot.id, report)

    def _made(self) -> list[DataSnapshot]:
        """Return the snapshots that this registry can prove it created, not those with copied tags."""
        records, resource_type = self.session.records, self.session.resource_types["snapshot"]
        ours = records.ownership(records.state_with_history())
        there = list_snapshots(self.session.cloud, self.region, self.dataset)
        return [snapshot for snapshot in there if ours.proves(resource_type, snapshot.as_described)]

    def _begun(self, tokens: Collection[str]) -> DataSnapshot | None:
        """Return the pending snapshot of this volume, or a completed one of the same request.

        That has the requested version, or was created by a call with one of these tokens whose response was lost.
        """
        same = [s for s in self._made() if s.tags.get(SOURCE) == self.volume.id and self.version in (None, s.version)]
        meant = (s for s in same if s.version == self.version or s.tags.get(RECORD) in tokens)
        return next((s for s in same if s.state == "pending"), None) or next((s for s in meant if s.completed), None)

    def _create(self) -> DataSnapshot:
        with numbered(self.session, self.dataset, self.version, self.region) as version:
            tags = tags_of(
                self.dataset, version, label=self.volume.label, uuid=self.volume.uuid,
                filesystem=self.volume.filesystem, bytes=str(self.volume.bytes_used), source=self.volume.id,
                layout=None if self.volume.device == self.volume.disk else "parts",
            )  # fmt: skip
            with frozen(self.host, self.volume):
                answer: Mapping[str, Any] = self.session.cloud.ec2_no_retry(self.region).create_snapshot(
                    VolumeId=self.volume.id,
                    Description=f"{self.dataset}@{version}, from {self.volume.id} on {self.volume.mount}",
                    TagSpecifications=tag_specifications(tags, "snapshot"),  # type: ignore[arg-type]
                )
        return DataSnapshot.of({**answer, "Tags": to_aws(tags)}, self.region)


@contextmanager
def frozen(host: Host, volume: MountedVolume) -> Iterator[None]:
    """Freeze a host's file system so that the snapshot is consistent; a read-only one is consistent anyway.

    Raises UserError where it cannot be frozen, such as the host's root.
    """
    if volume.read_only:
        yield
        return
    with host.holding(text_of("freeze.py"), volume.mount, str(MAX_FREEZE)) as said:
        if said != "frozen":
            raise UserError(f"{host.name}: {volume.mount} can't be frozen: {said or 'it gives no reason'}")
        yield
