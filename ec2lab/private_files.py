"""Files and directories for nobody but their owner, whatever the umask and whoever made them before."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO

from ec2lab.files import exists, open_file

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
