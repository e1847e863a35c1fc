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

LARGEST = 1024 * 1024  # bytes of a text that a person writes


def read_text(path: Path) -> str:
    """Read a text that a person writes, without its BOM. Raises OSError (also for a pipe) and UnicodeDecodeError."""
    return read_content(path).decode("utf-8-sig")


def read_content(path: Path) -> bytes:
    """Read such a file as bytes. Raises OSError, as read_bytes does."""
    return read_bytes(path, LARGEST)


def read_bytes(path: Path, most: int) -> bytes:
    """Read a file of limited size. Raises OSError, also for a pipe or device, which may never end."""
    with os.fdopen(open_file(path, os.O_RDONLY), "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"is larger than {most >> 20} MiB", str(path))
    return content


def open_file(path: Path, flags: int, mode: int = 0o666) -> int:
    """Open a regular file; anything else is refused without waiting. Raises OSError."""
    descriptor = os.open(path, flags | os.O_NONBLOCK, mode)
    if stat.S_ISREG(os.fstat(descriptor).st_mode) or stat.S_ISDIR(os.fstat(descriptor).st_mode):
        return descriptor  # reading a directory raises an error of its own
    os.close(descriptor)
    raise OSError(errno.EINVAL, "is not a regular file", str(path))


@contextmanager
def temp_file_beside(path: Path, content: bytes, *, mode: int = 0o666) -> Iterator[Path]:
    """Yield a new file next to `path` with some content, to be renamed over it, or else removed. Raises OSError."""
    draft = path.with_name(f".{path.name[:200]}.{os.getpid()}-{threading.get_ident()}")
    try:
        draft.unlink(missing_ok=True)  # left by a process that died, with the same name
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def exists(path: Path) -> bool:
    """Return whether a path exists; dangling links do not count.

    Raises OSError where that cannot be determined: Path.exists() returns False then since Python 3.14
    (https://docs.python.org/3.14/library/pathlib.html#pathlib.Path.exists), and a registry in an inaccessible directory
    would look empty.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


PRIVATE_FILE = stat.S_IRUSR | stat.S_IWUSR
PRIVATE_DIRECTORY = stat.S_IRWXU


def private_directory(path: Path, *, top: Path | None = None) -> Path:
    """Create a directory that only its owner can enter, or restrict an existing one.

    The same for its parents, from `top` on. Raises OSError, also where one belongs to another user, who could put files
    into it.
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
    """Open a text file that only its owner can read, whatever its previous mode. Raises OSError."""
    file = open(path, mode, encoding="utf-8", opener=private_opener)  # noqa: SIM115 - Path.open has no opener
    if stat.S_IMODE(os.fstat(file.fileno()).st_mode) != PRIVATE_FILE:
        os.fchmod(file.fileno(), PRIVATE_FILE)
    return file


def private_opener(path: str, flags: int) -> int:
    """An opener for `open()`: follows no link, waits for no pipe, and creates private files."""
    return open_file(Path(path), flags | os.O_NOFOLLOW, PRIVATE_FILE)


def is_trustworthy(status: os.stat_result) -> bool:
    """Say whether only this user and root can have written a file."""
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
