"""Files that somebody writes, seen as they were at one moment. Python 3.9 or later: instances run it, as root.

Nothing outside a directory is reached through a link in it, whoever may write there.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from typing import NamedTuple

BLOCK = 1 << 20
LONGEST = 1024
"""Bytes of a path below the directory. S3 takes no longer keys, and to enter a directory takes an `open` per part."""
GONE = (errno.ENOENT, errno.ENOTDIR, errno.EINVAL, errno.ELOOP)  # something else has the name by now, or nothing has
MAPPED = re.compile(rb"^[0-9a-f]+-[0-9a-f]+ .w.s \S+ ([0-9a-f]+):([0-9a-f]+) (\d+)", re.MULTILINE)
"""A shared mapping that may be written (proc(5), /proc/pid/maps): its file needs not be open."""


class Changed(Exception):
    """A file is not what it was a moment ago."""


class Found(NamedTuple):
    """A regular file as a directory shows it."""

    version: str  # another one whenever its content may be another
    inode: int
    size: int
    changed: float  # when, in seconds since 1970


class Tree(NamedTuple):
    """What a directory holds, by names relative to it."""

    files: "dict[str, Found]"
    links: "dict[str, str]"  # symbolic links, and where they lead
    problems: "list[str]"  # what can't be read
    device: int


def version_of(status: os.stat_result) -> str:
    """Return what differs between two versions of a file."""
    return f"{status.st_ino:x}.{status.st_size:x}.{status.st_mtime_ns:x}.{status.st_ctime_ns:x}"


def found(status: os.stat_result) -> Found:
    """Return what a directory shows of a file. Its modification time is what anybody says; that of its inode is not."""
    return Found(version_of(status), status.st_ino, status.st_size, status.st_ctime)


@contextlib.contextmanager
def directory(path: str) -> Iterator[int]:
    """Open a directory by its absolute path, no part of which may be a link. Raises OSError."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    opened_last = os.open("/", flags)
    try:
        for name in filter(None, path.split("/")):
            inner = os.open(name, flags, dir_fd=opened_last)
            os.close(opened_last)
            opened_last = inner
        yield opened_last
    finally:
        os.close(opened_last)


def tree(root: str) -> Tree:
    """Return what lies in a directory, at any depth. Sockets, pipes and devices are left out. Raises OSError.

    Other file systems mounted in it are not entered: nobody could tell who writes there. The directory's own is flushed
    before, so that the next change of a page through a mapping changes its file's times.
    """
    with directory(root) as top:
        seen, left = Tree({}, {}, [], os.fstat(top).st_dev), [""]
        ctypes.CDLL(None).syncfs(top)
    while left:
        path = left.pop()
        try:
            with directory(f"{root}/{path}") as descriptor, os.scandir(descriptor) as entries:
                for entry in entries:
                    _look_at(entry, f"{path}/{entry.name}".lstrip("/"), descriptor, seen, left)
        except OSError as problem:
            if not path:
                raise
            _note(seen, path, problem)
    return seen


def _look_at(entry: "os.DirEntry[str]", name: str, descriptor: int, seen: Tree, left: "list[str]") -> None:
    """Add an entry of a directory to what is seen, or to the directories that are left."""
    try:
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(status.st_mode):
            seen.files[name] = found(status)
        elif stat.S_ISLNK(status.st_mode):
            seen.links[name] = os.readlink(entry.name, dir_fd=descriptor)
        elif stat.S_ISDIR(status.st_mode):
            if status.st_dev == seen.device and len(os.fsencode(name)) < LONGEST:
                left.append(name)
            else:
                why = "is another file system" if status.st_dev != seen.device else "its path is too long"
                seen.problems.append(f"{name!r}: {why}")
    except OSError as problem:
        _note(seen, name, problem)


def _note(seen: Tree, name: str, problem: OSError) -> None:
    if problem.errno not in GONE:
        seen.problems.append(f"{name!r}: {problem.strerror}")


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
                for *numbers, inode in MAPPED.findall(mappings.read()):
                    mapped = os.makedev(*(int(number, 16) for number in numbers))
                    if mapped == device or not os.major(device) | os.major(mapped):  # btrfs shows another one there
                        held[int(inode)] = False
    return held


@contextlib.contextmanager
def opened(root: str, name: str) -> Iterator[int]:
    """Open a regular file below a directory, for reading. Raises OSError; Changed where it is none any more."""
    parents, _, last = name.rpartition("/")
    try:
        with directory(f"{root}/{parents}") as above:
            file = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=above)
    except (FileNotFoundError, NotADirectoryError) as gone:
        raise Changed from gone
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


def digest(parts: Iterable[bytes]) -> str:
    """Return the SHA-256 of what blocks hold. Raises what they raise."""
    known = hashlib.sha256()
    for part in parts:
        known.update(part)
    return known.hexdigest()
