"""Files that are read or written whole or not at all, and those for nobody but their owner, whatever the umask."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LARGEST = 1024 * 1024
"""Bytes of a text that a person writes."""


def read_text(path: Path) -> str:
    """Read a text that a person writes: a file of the lab's, or a link to one, as git may bring it with a branch.

    Windows' editors begin it with a mark that is no part of it. Raises OSError, also for a pipe or a device, which may
    never end, and UnicodeDecodeError.
    """
    return read_content(path).decode("utf-8-sig")


def read_content(path: Path) -> bytes:
    """Read what a person writes, as it is. Raises OSError, as read_bytes does."""
    return read_bytes(path, LARGEST)


def read_bytes(path: Path, most: int) -> bytes:
    """Read a file, of so many bytes at the most. Raises OSError, also for a pipe or a device, which may never end."""
    with os.fdopen(open_file(path, os.O_RDONLY), "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"is larger than {most >> 20} MiB", str(path))
    return content


def open_file(path: Path, flags: int, mode: int = 0o666) -> int:
    """Open a regular file; what is none is refused and not waited for. Raises OSError."""
    descriptor = os.open(path, flags | os.O_NONBLOCK, mode)
    if stat.S_ISREG(os.fstat(descriptor).st_mode) or stat.S_ISDIR(os.fstat(descriptor).st_mode):
        return descriptor  # reading a directory is an error with its own words
    os.close(descriptor)
    raise OSError(errno.EINVAL, "is not a regular file", str(path))


@contextmanager
def temp_file_beside(path: Path, content: bytes, *, mode: int = 0o666) -> Iterator[Path]:
    """Give a file beside `path` that holds a content, to be put in its place; afterwards it is gone, come what may.

    Raises OSError.
    """
    draft = path.with_name(f".{path.name[:200]}.{os.getpid()}-{threading.get_ident()}")
    try:
        draft.unlink(missing_ok=True)  # of one who died, and was called the same
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def exists(path: Path) -> bool:
    """Return whether there is anything at a path, a dangling link not counted.

    Raises OSError where that can't be seen: Path.exists() answers False for that since Python 3.14
    (https://docs.python.org/3.14/library/pathlib.html#pathlib.Path.exists), and a registry in a directory that may not
    be entered would look like an empty one.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


PRIVATE_FILE = stat.S_IRUSR | stat.S_IWUSR
PRIVATE_DIRECTORY = stat.S_IRWXU


def private_directory(path: Path, *, top: Path | None = None) -> Path:
    """Make a directory that only its owner can enter, or take access to one away from others.

    So are those above it, from `top` on. Raises OSError, also where one belongs to another user, who could put files
    of their own into it.
    """
    for directory in (*reversed(path.parents), path):
        if directory == path or (top and directory.is_relative_to(top)) or not exists(directory):
            _make_private(directory)
    return path


def _make_private(directory: Path) -> None:
    directory.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        status = os.fstat(descriptor)
        if os.geteuid() not in (0, status.st_uid):
            raise PermissionError(errno.EPERM, "belongs to another user", str(directory))
        if stat.S_IMODE(status.st_mode) != PRIVATE_DIRECTORY:
            os.fchmod(descriptor, PRIVATE_DIRECTORY)
    finally:
        os.close(descriptor)


def open_private(path: Path, mode: str) -> IO[str]:
    """Open a text file that only its owner can read, also where it was there with another mode. Raises OSError."""
    file = open(path, mode, encoding="utf-8", opener=private_opener)  # noqa: SIM115 - Path.open has no opener
    if stat.S_IMODE(os.fstat(file.fileno()).st_mode) != PRIVATE_FILE:
        os.fchmod(file.fileno(), PRIVATE_FILE)
    return file


def private_opener(path: str, flags: int) -> int:
    """Open for `open()`: no link is followed, no pipe waited for, and a file that has to be made is private."""
    return open_file(Path(path), flags | os.O_NOFOLLOW, PRIVATE_FILE)


def is_trustworthy(status: os.stat_result) -> bool:
    """Say whether nobody but this user and root can have written a file."""
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
