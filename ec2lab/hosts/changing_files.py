"""Files that somebody writes, seen as they were at one moment. Python 3.9 or later: instances run it, as root.

Nothing outside of a directory is reached through a link in it, whoever may write there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from typing import NamedTuple

BLOCK = 1 << 20
MAPPED = re.compile(rb"^[0-9a-f]+-[0-9a-f]+ .w.s \S+ \S+ (\d+)", re.MULTILINE)
"""A shared mapping that may be written (proc(5), /proc/pid/maps): its file needs not be open."""


class Changed(Exception):
    """A file is not what it was a moment ago."""


class Found(NamedTuple):
    """A regular file as a directory shows it."""

    version: str
    """Another one whenever its content may be another."""
    inode: int
    size: int
    changed: float
    """When, in seconds since 1970."""


class Tree(NamedTuple):
    """What a directory holds, by names relative to it."""

    files: "dict[str, Found]"
    links: "dict[str, str]"
    """Symbolic links, and where they lead."""
    problems: "list[str]"
    """What can't be read."""


def version_of(status: os.stat_result) -> str:
    """Return what tells one version of a file from another."""
    return f"{status.st_ino:x}.{status.st_size:x}.{status.st_mtime_ns:x}.{status.st_ctime_ns:x}"


def found(status: os.stat_result) -> Found:
    """Return what a directory shows of a file."""
    changed = max(status.st_mtime, status.st_ctime)
    return Found(version_of(status), status.st_ino, status.st_size, changed)


def tree(root: str) -> Tree:
    """Return what lies in a directory, at any depth. Sockets, pipes and devices are left out."""
    seen = Tree({}, {}, [])
    for path, directories, files, descriptor in os.fwalk(root, onerror=lambda why: seen.problems.append(str(why))):
        below = os.path.relpath(path, root)
        for name in (*directories, *files):
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                full = name if below == "." else f"{below}/{name}"
                if stat.S_ISREG(status.st_mode):
                    seen.files[full] = found(status)
                elif stat.S_ISLNK(status.st_mode):
                    seen.links[full] = os.readlink(name, dir_fd=descriptor)
    return seen


def writers(device: int, processes: str = "/proc") -> dict[int, bool]:
    """Return, by inode, the files of a device that are held open for writing: whether they are only appended to."""
    held: dict[int, bool] = {}
    for process in filter(str.isdigit, os.listdir(processes)):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            for number in os.listdir(f"{processes}/{process}/fd"):
                with contextlib.suppress(OSError):
                    status = os.stat(f"{processes}/{process}/fd/{number}")
                    if stat.S_ISREG(status.st_mode) and status.st_dev == device:
                        with open(f"{processes}/{process}/fdinfo/{number}", encoding="ascii") as file:
                            flags = int(re.findall(r"flags:\s*(\d+)", file.read())[0], 8)
                        if flags & os.O_ACCMODE:
                            held[status.st_ino] = held.get(status.st_ino, True) and bool(flags & os.O_APPEND)
            with open(f"{processes}/{process}/maps", "rb") as mappings:
                held.update((int(inode), False) for inode in MAPPED.findall(mappings.read()))
    return held


@contextlib.contextmanager
def opened(root: str, name: str) -> Iterator[int]:
    """Open a regular file below a directory, for reading. Raises OSError; Changed where it is none any more."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        *parents, last = name.split("/")
        for parent in parents:
            inner = os.open(parent, flags | os.O_DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = inner
        file = os.open(last, flags, dir_fd=directory)
    except (FileNotFoundError, NotADirectoryError) as gone:
        raise Changed from gone
    finally:
        os.close(directory)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise Changed
        yield file
    finally:
        os.close(file)


def blocks(file: int, first: int, size: int) -> Iterator[bytes]:
    """Yield a part of a file. Raises OSError, and Changed where it is shorter."""
    while size:
        block = os.pread(file, min(BLOCK, size), first)
        if not block:
            raise Changed
        yield block
        first, size = first + len(block), size - len(block)


def digest(file: int, first: int, size: int) -> str:
    """Return the SHA-256 of a part of a file. Raises OSError, Changed."""
    known = hashlib.sha256()
    for block in blocks(file, first, size):
        known.update(block)
    return known.hexdigest()
