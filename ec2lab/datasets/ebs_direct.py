"""Writes and reads snapshots block by block with the EBS direct APIs: no instance or volume is needed."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from botocore.exceptions import BotoCoreError, ClientError

from ec2lab.aws.tags import to_aws
from ec2lab.datasets.dataset import DataSnapshot, list_snapshots
from ec2lab.datasets.versions import wait_until_completed
from ec2lab.errors import UserError
from ec2lab.polling import attempts, wait_until
from ec2lab.registry.record import new_id
from ec2lab.session import Session

BLOCK = 512 * 1024
"""Bytes; the only block size of the EBS direct APIs
(https://docs.aws.amazon.com/ebs/latest/userguide/ebs-accessing-snapshot.html)."""
ZERO = bytes(BLOCK)

Digests = Mapping[int, bytes]  # the SHA-256 of each block that is not all zeros, by index


def block(file: BinaryIO, index: int) -> bytes:
    """Return a block of an image, padded with zeros at its end."""
    return os.pread(file.fileno(), BLOCK, index * BLOCK).ljust(BLOCK, b"\0")


def blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield index and content of every block that is not all zeros; holes of a sparse file are not read."""
    with path.open("rb") as file:
        size, offset = path.stat().st_size, 0
        while (offset := _next_data(file, offset, size)) < size:
            index = offset // BLOCK
            content = block(file, index)
            if content != ZERO:
                yield index, content
            offset = (index + 1) * BLOCK


def _next_data(file: BinaryIO, offset: int, size: int) -> int:
    try:
        return os.lseek(file.fileno(), offset, os.SEEK_DATA) if offset < size else size
    except OSError:  # only a hole is left
        return size


def digests(path: Path) -> dict[int, bytes]:
    """Return the digest of every block of an image that is not all zeros."""
    return {index: hashlib.sha256(content).digest() for index, content in blocks(path)}


def changed(before: Digests, after: Digests) -> list[int]:
    """Return the blocks to send to turn `before` into `after`, including those that become all zeros."""
    return sorted(index for index in {*before, *after} if before.get(index) != after.get(index))


def whole(all_digests: Digests) -> str:
    """Return one digest of all blocks and their positions."""
    summed = hashlib.sha256()
    for index in sorted(all_digests):
        summed.update(index.to_bytes(8, "big") + all_digests[index])
    return summed.hexdigest()


THREADS = 32
"""Concurrent blocks; AWS accepts 1,000 a second per account and region
(https://docs.aws.amazon.com/ebs/latest/userguide/ebs-accessing-snapshot.html)."""
ATTEMPTS = 10
ABANDON_MINUTES = 24 * 60
"""Minutes without a block after which AWS fails an unfinished snapshot; until then the upload can be resumed."""
POLL = 0.5, 10.0

Report = Callable[[int, int], None]  # (bytes done, bytes in total)


@dataclass(frozen=True)
class DirectSnapshots:
    session: Session
    region: str

    @property
    def ebs(self) -> Any:
        """The client; sending a block twice is harmless."""
        return self.session.cloud.client("ebs", self.region, attempts=ATTEMPTS)

    def start(self, gib: int, tags: Mapping[str, str], parent: DataSnapshot | None) -> str:
        """Start a snapshot and return its id; with a parent, it starts with the parent's content."""
        request: dict[str, Any] = {
            "VolumeSize": gib,
            "Description": tags["Name"],
            "Tags": to_aws(tags),
            "ClientToken": new_id(),
            "Timeout": ABANDON_MINUTES,
        }
        if parent:
            request["ParentSnapshotId"] = parent.id  # encrypted as its parent is; AWS accepts only one of the two
        else:
            request["Encrypted"] = True
            if key := self.session.lab.kms_keys.get(self.region):
                request["KmsKeyArn"] = key
        return str(self.ebs.start_snapshot(**request)["SnapshotId"])

    def send(self, snapshot: str, image: Path, indices: Iterable[int], sent: Callable[[int, bytes], None]) -> None:
        """Send blocks of an image in parallel; `sent` is called with each one's digest."""
        with image.open("rb") as file:

            def put(index: int) -> tuple[int, bytes]:
                content = block(file, index)
                digest = hashlib.sha256(content).digest()
                self.ebs.put_snapshot_block(
                    SnapshotId=snapshot, BlockIndex=index, BlockData=content, DataLength=BLOCK,
                    Checksum=base64.b64encode(digest).decode(), ChecksumAlgorithm="SHA256",
                )  # fmt: skip
                return index, digest

            for index, digest in _run_concurrently(put, indices):
                sent(index, digest)

    def complete(self, snapshot: str, count: int) -> None:
        """Complete the snapshot, and wait until volumes can be created from it. Raises UserError."""
        try:
            self.ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=count)
        except ClientError:
            # Repeated after a lost response or by a second run, the call is rejected.
            if not self._completes(snapshot):
                raise
        wait_until_completed(self.session, self.region, snapshot, lambda _: None)

    def _completes(self, snapshot: str) -> bool:
        """Say whether a snapshot is complete, or becomes so within a minute."""

        def over() -> DataSnapshot | None:
            there = (one for one in list_snapshots(self.session.cloud, self.region) if one.id == snapshot)
            return next((one for one in there if one.completed or one.state == "error"), None)

        found = wait_until(over, self.session.pause, POLL, self.session.cloud.consistency_seconds)
        return found is not None and found.completed

    def digests(self, snapshot: str, report: Report) -> Digests:
        """Read a snapshot back and return the digest of each block that is not all zeros.

        Raises UserError where a block does not match its checksum.
        """
        tokens = dict(self._listed(snapshot))

        def get(index: int) -> tuple[int, bytes]:
            content = self._read(snapshot, index, tokens[index])
            return index, b"" if content == ZERO else hashlib.sha256(content).digest()

        found: dict[int, bytes] = {}
        for index, digest in _run_concurrently(get, tokens):
            found[index] = digest
            report(len(found) * BLOCK, len(tokens) * BLOCK)
        return {index: digest for index, digest in found.items() if digest}

    def _read(self, snapshot: str, index: int, token: str) -> bytes:
        """Return a block. A truncated response is retried: botocore retries only until it begins."""
        why = ""
        for _ in islice(attempts(self.session.pause, POLL), ATTEMPTS):
            answer = self.ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockToken=token)
            try:
                content: bytes = answer["BlockData"].read()
            except BotoCoreError as problem:
                why = f"could not be read ({problem})"
            else:
                if base64.b64encode(hashlib.sha256(content).digest()).decode() == answer["Checksum"]:
                    return content
                why = "does not match its checksum"
        raise UserError(f"{snapshot}: block {index} {why}; run this again")

    def _listed(self, snapshot: str) -> Iterator[tuple[int, str]]:
        page: dict[str, Any] = {}
        while True:
            answer = self.ebs.list_snapshot_blocks(SnapshotId=snapshot, **page)
            for listed in answer.get("Blocks", ()):
                yield listed["BlockIndex"], listed["BlockToken"]
            if not answer.get("NextToken"):
                return
            page = {"NextToken": answer["NextToken"]}


def _run_concurrently(work: Callable[[int], tuple[int, bytes]], indices: Iterable[int]) -> Iterator[tuple[int, bytes]]:
    """Yield the results of `work` for each index as they come; at most twice THREADS blocks are in memory."""
    threads = ThreadPoolExecutor(THREADS)
    pending: set[Future[tuple[int, bytes]]] = set()
    try:
        for index in indices:
            if len(pending) >= 2 * THREADS:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
            pending.add(threads.submit(work, index))
        for future in pending:
            yield future.result()
    finally:
        threads.shutdown(wait=True, cancel_futures=True)
