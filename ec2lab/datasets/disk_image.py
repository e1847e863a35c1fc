"""Turns a directory, a tarball or a raw image into a disk image with one ext4 file system, without root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ec2lab.datasets.tarball import entries, is_tarball, unpacked
from ec2lab.errors import UserError
from ec2lab.files import open_private
from ec2lab.progress import working
from ec2lab.units import GIB

NAMESPACE = uuid.UUID("8f0c6c0e-3b0f-4f3e-9b5a-2f4d5e6a7b8c")
"""The file system's UUID is derived from it and the dataset's name, so that blocks stay the same across versions."""
MOMENT = "1577836800"  # the file system's creation time: constant, for the same reason
LABEL_LENGTH = 16
MIN_BYTES = 64 << 20
INODE_ROOM, SPARE = 4096 + 512, 1.10
"""Bytes for each file besides its content; the share that ext4 needs itself: journal, tables, partly filled blocks."""
FIRST_INODE = 11  # inodes before it are reserved (mke2fs(8))
BYTES_PER_INODE = 16384  # mke2fs's default; a tree of many small files gets more inodes


@dataclass(frozen=True, slots=True)
class DiskImage:
    path: Path
    filesystem: str
    uuid: str
    label: str

    @property
    def gib(self) -> int:
        """The size of the smallest volume for it."""
        return -(-self.path.stat().st_size // GIB)


@contextmanager
def disk_image(source: Path, dataset: str, work: Path, gib: int | None) -> Iterator[DiskImage]:
    """Yield the disk image of a directory, a tarball or a raw image. Raises UserError.

    Files keep numeric owners, modes and times. `gib` is the size of the volume; by default as small as possible. What
    was created is deleted afterwards: it can be created again, identical block for block.
    """
    made = work / f"{dataset}.img"
    if source.is_dir():
        with _deleted_at_the_end(made):
            yield _mke2fs(source, dataset, made, gib)
    elif source.is_file() and is_tarball(source):
        with unpacked(source, work) as directory, _deleted_at_the_end(made):
            yield _mke2fs(directory, dataset, made, gib)
    elif source.is_file():
        yield _raw(source)
    else:
        raise UserError(f"SOURCE: {source}: is neither a directory, a tarball, a raw image nor s3://…")


@contextmanager
def _deleted_at_the_end(path: Path) -> Iterator[None]:
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


@working("building the file system image")
def _mke2fs(tree: Path, dataset: str, path: Path, gib: int | None) -> DiskImage:
    try:
        count, content = _count_files(tree)
    except OSError as problem:
        raise UserError(f"SOURCE: {tree}: can't be read: {problem.filename}: {problem.strerror}") from problem
    size = gib * GIB if gib else _required_bytes(content)
    path.unlink(missing_ok=True)
    open_private(path, "x").close()  # mke2fs would leave it readable by all
    free = shutil.disk_usage(path.parent).free
    if content > free:
        raise UserError(
            f"{path.parent}: has {free >> 20} MiB free, but the image takes about {content >> 20}; make room"
        )
    identity = str(uuid.uuid5(NAMESPACE, dataset))
    inodes = max(size // BYTES_PER_INODE, int(count * SPARE) + 1024)
    options = ["-q", "-F", "-t", "ext4", "-L", dataset[:LABEL_LENGTH], "-U", identity, "-m", "0", "-N", str(inodes),
               "-E", f"hash_seed={identity},root_owner=0:0,lazy_itable_init=0", "-d", str(tree)]  # fmt: skip
    made = _e2fsprogs("mke2fs", *options, str(path), f"{size >> 10}k")
    if made.returncode:
        raise UserError(f"{tree}: mke2fs: {made.stderr.strip().splitlines()[-1]} (SIZE= makes the volume larger)")
    _forget_access_times(path)
    return DiskImage(path, "ext4", identity, dataset[:LABEL_LENGTH])


def _forget_access_times(image: Path) -> None:
    """Set all access times to a constant: reading files would change blocks without new content."""
    superblock = _e2fsprogs("dumpe2fs", str(image)).stdout
    (count,) = re.findall(r"^Inode count: +(\d+)", superblock, re.MULTILINE)
    free = [
        range(int(first), int(last or first) + 1)
        for ranges in re.findall(r"^  Free inodes: (.+)", superblock, re.MULTILINE)
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", ranges)
    ]
    ends = {numbers.start: numbers.stop for numbers in free}
    script = image.with_suffix(".debugfs")
    with open_private(script, "w") as lines:
        number = FIRST_INODE
        while number <= int(count):
            if number in ends:
                number = ends[number]
                continue
            lines.write(f"sif <{number}> atime @{MOMENT}\n")
            number += 1
    done = _e2fsprogs("debugfs", "-w", "-f", str(script), str(image))
    script.unlink()
    if done.returncode:
        raise UserError(f"{image}: debugfs: {done.stderr.strip().splitlines()[-1]}")


def _e2fsprogs(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of e2fsprogs, which may not be on PATH. Raises UserError where it is not installed."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/opt/homebrew/opt/e2fsprogs/sbin"])
    if not (found := shutil.which(program, path=path)):
        how = "Debian, Ubuntu: apt-get install e2fsprogs; macOS: brew install e2fsprogs"
        raise UserError(f"{program} is not installed here ({how})")
    moment = {"E2FSPROGS_FAKE_TIME": MOMENT, "SOURCE_DATE_EPOCH": MOMENT}
    return subprocess.run(
        [found, *arguments], capture_output=True, text=True, check=False, env={**os.environ, **moment}
    )


def _count_files(tree: Path) -> tuple[int, int]:
    sizes = [status.st_size + INODE_ROOM for _, status in entries(tree)]
    return len(sizes), sum(sizes)


def _required_bytes(content: int) -> int:
    """Return the size of a volume for that many bytes: whole GiB, as in EBS."""
    wanted = max(MIN_BYTES, int(content * SPARE) + MIN_BYTES)
    return -(-wanted // GIB) * GIB


def _raw(source: Path) -> DiskImage:
    """Return a raw image as it is; blkid tells its content."""
    blkid = shutil.which("blkid", path="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))
    fields = {}
    if blkid:
        shown = subprocess.run([blkid, "-p", "-o", "export", str(source)], capture_output=True, text=True, check=False)
        fields = dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)
    return DiskImage(source, fields.get("TYPE", ""), fields.get("UUID", ""), fields.get("LABEL", ""))
