"""Builds a dataset from a disk image without an instance; resumable."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ec2lab.aws.tags import DATASET
from ec2lab.datasets.dataset import (
    BLOCKS,
    PARENT,
    DataSnapshot,
    data_registries,
    list_snapshots,
    newest,
    tags_of,
    usable,
)
from ec2lab.datasets.disk_image import DiskImage
from ec2lab.datasets.ebs_direct import BLOCK, Digests, DirectSnapshots, Report, changed, digests, whole
from ec2lab.datasets.versions import numbered
from ec2lab.errors import UserError
from ec2lab.files import exists, open_private, read_bytes
from ec2lab.progress import working
from ec2lab.resources.idempotency import find_or_create
from ec2lab.session import Session

LARGEST = 1 << 30  # bytes of a version's digests: at most 2^27 blocks of 64 TiB, some 75 bytes each
Say = Callable[[str], None]


@dataclass(frozen=True)
class DatasetBuilder:
    """Uploads a disk image to a region as a version of a dataset. `work` is a directory for digests."""

    session: Session
    dataset: str
    version: str | None
    region: str
    work: Path
    say: Say

    @property
    def direct(self) -> DirectSnapshots:
        """The EBS direct APIs."""
        return DirectSnapshots(self.session, self.region)

    def build(self, image: DiskImage, source: str, report: Report) -> tuple[DataSnapshot, int]:
        """Return the completed version and the number of blocks sent, 0 where the same content exists.

        Raises UserError where the version exists with other content.
        """
        self.say(f"{image.path.name}: {image.path.stat().st_size >> 20} MiB, computing checksums")
        with working("computing checksums"):
            wanted = digests(image.path)
        there = usable(list_snapshots(self.session.cloud, self.region, self.dataset), data_registries(self.session))
        last = newest(there)
        if last and last.tags.get(BLOCKS) == whole(wanted) and self.version in (None, last.version):
            return last, 0
        snapshot, made = self._begun(image, source, wanted, last if last and _is_usable_parent(last, image) else None)
        if not made:
            self.say(f"{snapshot.name}: {snapshot.id} was started by an earlier run; resuming")
        # Its own parent's: a resumed one may have another parent than the newest version.
        before = self._digests_of_parent(snapshot, there, report)
        count = self._send(snapshot, image.path, changed(before, wanted), wanted, report)
        self.direct.complete(snapshot.id, count)
        self._remember(snapshot.id, wanted)
        return snapshot, count

    def _begun(
        self, image: DiskImage, source: str, wanted: Digests, parent: DataSnapshot | None
    ) -> tuple[DataSnapshot, bool]:
        """Start the snapshot, or find the one that an earlier run started with the same content."""
        known = {DATASET: self.dataset, BLOCKS: whole(wanted)}

        def begun() -> DataSnapshot | None:
            records, resource_type = self.session.records, self.session.resource_types["snapshot"]
            ours = records.ownership(records.state_with_history())
            there = list_snapshots(self.session.cloud, self.region, self.dataset)
            same = [s for s in there if s.tags.get(BLOCKS) == whole(wanted) and s.state == "pending"]
            mine = (s for s in same if ours.proves(resource_type, s.as_described))
            return next((s for s in mine if self.version in (None, s.version)), None)

        def start() -> DataSnapshot:
            with numbered(self.session, self.dataset, self.version, self.region) as version:
                tags = tags_of(
                    self.dataset, version, label=image.label, uuid=image.uuid, filesystem=image.filesystem,
                    bytes=str(len(wanted) * BLOCK), source=source[:256], blocks=whole(wanted),
                    parent=parent.id if parent else None,
                )  # fmt: skip
                identity = self.direct.start(image.gib, tags, parent)
            return DataSnapshot(
                dataset=self.dataset, version=version, region=self.region, id=identity, state="pending", progress="",
                gib=image.gib, started="", encrypted=True, stored=None, failure="", tags=tags,
            )  # fmt: skip

        return find_or_create(
            self.session, ("StartSnapshot", self.region, known), begun, start, lambda r: self.say(str(r))
        )

    def _send(self, snapshot: DataSnapshot, image: Path, indices: list[int], wanted: Digests, report: Report) -> int:
        """Send the blocks that AWS lacks, and return how many it has from us in total."""
        with self._journal(snapshot.id) as (had, journal):
            rest = [index for index in indices if had.get(index) != wanted.get(index, b"").hex()]
            done = set(indices) - set(rest)

            def sent(index: int, digest: bytes) -> None:
                journal.write(f"{index} {digest.hex() if index in wanted else ''}\n")
                done.add(index)
                report(len(done) * BLOCK, len(indices) * BLOCK)

            self.direct.send(snapshot.id, image, rest, sent)
            return len(done | {index for index in had if index in indices})

    @contextmanager
    def _journal(self, snapshot: str) -> Iterator[tuple[dict[int, str], IO[str]]]:
        """Return the blocks sent before, by index, and a file for those sent now; a truncated line is ignored."""
        path = self.work / f"{snapshot}.sent"
        lines = read_bytes(path, LARGEST).decode().splitlines(keepends=True) if exists(path) else []
        had = {int(line.split(" ")[0]): line.split(" ")[1].strip() for line in lines if line.endswith("\n")}
        with open_private(path, "a") as journal:
            journal.write("\n" if lines and not lines[-1].endswith("\n") else "")
            yield had, journal

    def _digests_of_parent(self, snapshot: DataSnapshot, there: Iterable[DataSnapshot], report: Report) -> Digests:
        """Return the digests of a snapshot's initial content: stored here, or read back from AWS."""
        if not (parent := snapshot.tags.get(PARENT)):
            return {}
        path = self.work / f"{parent}.json"
        if exists(path):
            return {
                int(index): bytes.fromhex(digest) for index, digest in json.loads(read_bytes(path, LARGEST)).items()
            }
        if parent not in {one.id for one in there}:
            raise UserError(
                f"{snapshot.name}: {snapshot.id} was started from {parent}, which no longer exists; start another with "
                "VERSION=… (AWS discards this one within a day)"
            )
        self.say(f"{parent}: reading it back, to send only what changed")
        return self.direct.digests(parent, report)

    def _remember(self, snapshot: str, wanted: Digests) -> None:
        found = {index: digest.hex() for index, digest in wanted.items()}
        with open_private(self.work / f"{snapshot}.json", "w") as file:
            json.dump(found, file)
        (self.work / f"{snapshot}.sent").unlink(missing_ok=True)


def _is_usable_parent(last: DataSnapshot, image: DiskImage) -> bool:
    """Say whether the newest version can be the parent; a child is encrypted only if its parent is.

    https://docs.aws.amazon.com/ebs/latest/userguide/ebsapis-using-encryption.html
    """
    return last.encrypted and last.gib == image.gib
