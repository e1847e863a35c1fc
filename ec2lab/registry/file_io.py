"""The registry's system calls: open, lock, write, flush to disk, and errors that say what to do."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ec2lab.errors import UserError
from ec2lab.files import open_file
from ec2lab.registry.file_format import EMPTY, TRAILER

_PRIVATE = stat.S_IRUSR | stat.S_IWUSR

_HINTS = {
    errno.ENOENT: "its directory does not exist; create it, or set another `registry` in lab.toml",
    errno.ENOTDIR: "its directory is a file; name another `registry` in lab.toml",
    errno.EISDIR: "is a directory; move it, or set another `registry` in lab.toml",
    errno.EACCES: "permission denied; you must own it, and be allowed to write to it and its directory",
    errno.EPERM: "it is not yours, so it cannot be made private or changed; become its owner (chown)",
    errno.EROFS: "the file system is read-only; remount it, or name another `registry` in lab.toml",
    errno.ENOSPC: "no space left on the device, the record was not written; free some space",
    errno.EDQUOT: "disk quota exceeded, the record was not written; free some space",
    errno.EFBIG: "over the limit for the size of a file, the record was not written; raise it (ulimit -f)",
    errno.EIO: "the disk reports an error; move the registry to a sound disk",
    errno.ENOLCK: "its file system cannot lock files (flock); keep the registry on a local disk",
    errno.EOPNOTSUPP: "its file system cannot lock files (flock); keep the registry on a local disk",
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Convert an OSError to a UserError that says how to fix it."""
    try:
        yield
    except OSError as error:
        otherwise = f"{error.strerror}; name another `registry` in lab.toml"
        raise UserError(f"{path}: {_HINTS.get(error.errno or 0, otherwise)}") from error


@contextmanager
def locked(path: Path, flags: int, operation: int) -> Iterator[int]:
    """Yield a locked descriptor of the file at `path`, also if it was replaced before the lock was acquired."""
    while True:
        with opened(path, flags) as descriptor, _flock(descriptor, operation):
            if _is_still_at(path, descriptor):
                yield descriptor
                return


@contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """Yield a descriptor of the file, created private if needed. Pipes and devices are refused."""
    descriptor = open_file(path, flags, _PRIVATE)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _flock(descriptor: int, operation: int) -> Iterator[None]:
    fcntl.flock(descriptor, operation)
    try:
        yield
    finally:
        # Closing is not enough: a child that another thread forked would keep the lock (flock(2)).
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _is_still_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def check_can_be_private(descriptor: int) -> None:
    """Raise OSError for another user's file that others can access."""
    status = os.fstat(descriptor)
    if stat.S_IMODE(status.st_mode) & ~_PRIVATE and os.geteuid() not in (0, status.st_uid):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def make_private(descriptor: int) -> None:
    if stat.S_IMODE(os.fstat(descriptor).st_mode) & ~_PRIVATE:
        os.fchmod(descriptor, _PRIVATE)


def append_record(descriptor: int, end: int, line: bytes) -> None:
    """Write a line and the closing bracket over the bracket at `end`, and flush; undo both if either fails."""
    separator = b"\n" if end == len(b"[") else b",\n"
    whole = False
    try:
        _write_whole(descriptor, separator + line + TRAILER, end)
        whole = True
        flush(descriptor)
    except BaseException as error:
        # An interrupt after the complete record undoes nothing; a disk error does.
        if not whole or isinstance(error, OSError):
            with suppress(OSError):  # what cannot be undone is a torn line, which the next append repairs
                truncate_and_close(descriptor, end)
        raise


def truncate_and_close(descriptor: int, end: int) -> None:
    """Truncate the file at `end` and write the closing bracket (0: an empty registry).

    Truncate first: if killed in between, the file ends with a complete record and not with a bracket in its middle.
    """
    os.ftruncate(descriptor, end)
    _write_whole(descriptor, TRAILER if end else EMPTY, end)


def _write_whole(descriptor: int, content: bytes, offset: int) -> None:
    """Write in one pwrite. If a full disk accepts only a part, the next write reports the reason."""
    while content:
        written = os.pwrite(descriptor, content, offset)
        content, offset = content[written:], offset + written


def flush(descriptor: int) -> None:
    """Flush the content and the size of the file to disk.

    fdatasync(2) on Linux. On macOS, fsync(2) only reaches the drive's cache and F_FULLFSYNC goes further (man 2 fsync
    there); some network file systems do not support it.
    """
    if sys.platform != "darwin":
        os.fdatasync(descriptor)
        return
    try:
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    except OSError:
        os.fsync(descriptor)


def flush_directory(path: Path) -> None:
    """Flush the file's name to disk (fsync(2): syncing a file does not sync its directory entry)."""
    descriptor = os.open(path.resolve().parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, content: bytes) -> None:
    """Replace the file at `path` atomically by a new private one."""
    draft = path.with_name(f"{path.name}.mending")
    draft.unlink(missing_ok=True)  # of a process that died; another user may have placed a link there
    with opened(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as descriptor:
        _write_whole(descriptor, content, 0)
        flush(descriptor)
    draft.replace(path)
    flush_directory(path)


def read_whole(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as file:
        return file.read()


def last_line(descriptor: int, size: int) -> bytes:
    """Return the last record with the closing bracket, or whatever else is there."""
    length = 4096
    while True:
        start = max(0, size - length)
        chunk = os.pread(descriptor, size - start, start)
        newline = chunk.rfind(b"\n", 0, -len(TRAILER))
        if newline >= 0 or start == 0:
            return chunk[newline + 1 :]
        length *= 8
