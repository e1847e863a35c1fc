"""A disk image as the blocks of a snapshot: which there are, what each one's checksum is, and what all are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

BLOCK = 512 * 1024
"""Bytes; the one size that the EBS direct APIs have
(https://docs.aws.amazon.com/ebs/latest/userguide/ebs-accessing-snapshot.html)."""
ZERO = bytes(BLOCK)

Digests = Mapping[int, bytes]
"""The SHA-256 of each block that is not all zeros, by index."""


def block(file: BinaryIO, index: int) -> bytes:
    """Return a block of an image, filled up with zeros at its end."""
    return os.pread(file.fileno(), BLOCK, index * BLOCK).ljust(BLOCK, b"\0")


def blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield index and content of every block that is not all zeros; holes of a sparse file are not even read."""
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
    except OSError:  # nothing but a hole is left
        return size


def digests(path: Path) -> dict[int, bytes]:
    """Return the digest of every block of an image that is not all zeros."""
    return {index: hashlib.sha256(content).digest() for index, content in blocks(path)}


def changed(before: Digests, after: Digests) -> list[int]:
    """Return the blocks to send so that `before` becomes `after`; those that are to be all zeros again among them."""
    return sorted(index for index in {*before, *after} if before.get(index) != after.get(index))


def whole(all_digests: Digests) -> str:
    """Return one digest for all blocks and their places: two images have the same where they hold the same."""
    summed = hashlib.sha256()
    for index in sorted(all_digests):
        summed.update(index.to_bytes(8, "big") + all_digests[index])
    return summed.hexdigest()
