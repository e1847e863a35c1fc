"""Files and directories for nobody but their owner, whatever the umask and whoever made them before."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

from scripts.core.errors import LabError

PRIVATE_FILE = stat.S_IRUSR | stat.S_IWUSR
PRIVATE_DIRECTORY = stat.S_IRWXU


def private_directory(path: Path) -> Path:
    """Make a directory that only its owner can enter, or take access to one away from others.

    Raises LabError where it belongs to somebody else, who could put files of their own into it; raises OSError.
    """
    path.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        status = os.fstat(descriptor)
        if os.geteuid() not in (0, status.st_uid):
            raise LabError(f"{path}: belongs to another user; move it away, and run the command again")
        if stat.S_IMODE(status.st_mode) != PRIVATE_DIRECTORY:
            os.fchmod(descriptor, PRIVATE_DIRECTORY)
    finally:
        os.close(descriptor)
    return path


def open_private(path: Path, mode: str) -> IO[str]:
    """Open a text file that only its owner can read, also where it was there with another mode. Raises OSError."""
    file = open(path, mode, encoding="utf-8", opener=_opener)  # noqa: SIM115 - Path.open has no opener
    if stat.S_IMODE(os.fstat(file.fileno()).st_mode) != PRIVATE_FILE:
        os.fchmod(file.fileno(), PRIVATE_FILE)
    return file


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, PRIVATE_FILE)
