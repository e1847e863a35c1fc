"""Paths that a user names, followed only over links that nobody else can have laid.

In a directory that many can write to, such as /tmp, another user may put a link at the name that is about to be
written, and so choose the file. Linux has a setting against it (fs.protected_symlinks), which is not on everywhere.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SEARCH = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW
"""O_PATH, where there is one, needs no permission to list the directory."""
MOST_LINKS = 40
"""As many as Linux follows (path_resolution(7))."""
FOREIGN = "is a link that another user laid or could replace, which is not followed; name the file itself"


@contextmanager
def opened_parent(path: Path) -> Iterator[tuple[int, Path]]:
    """Give a descriptor of the directory that a file is in or is to be in, and the file's path without links.

    What is done by the descriptor stays in that directory, whatever is laid in its way meanwhile. Raises OSError,
    PermissionError where another user's link is on the way.
    """
    walk = _Walk(path)
    try:
        place = walk.to_the_end()
        yield walk.directory, place
    finally:
        os.close(walk.directory)


def followed(path: Path) -> Path:
    """Return a path without links. Raises OSError, PermissionError where another user's link is on the way."""
    with opened_parent(path) as (_, place):
        return place


class _Walk:
    """A way through the file system, name by name, with a descriptor of the directory that was reached."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names = list(reversed((Path.cwd() / path).parts))
        self.directory = os.open("/", SEARCH)
        self.place = Path("/")
        self.links = 0

    def to_the_end(self) -> Path:
        """Go up to the directory of the last name; return the path of what has that name."""
        while self.names:
            name = self.names.pop()
            if _is_link(self.directory, name):
                self._follow(name)
            elif self.names or name in ("/", ".."):
                self._enter(name)
            else:
                return self.place / name
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(self.path))

    def _follow(self, name: str) -> None:
        self.links += 1
        if self.links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(self.path))
        if not _is_trusted_link(self.directory, name):
            raise PermissionError(errno.EPERM, FOREIGN, str(self.place / name))
        self.names += reversed(Path(os.readlink(name, dir_fd=self.directory)).parts)

    def _enter(self, name: str) -> None:
        inner = os.open(name, SEARCH, dir_fd=self.directory)
        os.close(self.directory)
        self.directory = inner
        self.place = self.place.parent if name == ".." else self.place / name


def _is_link(directory: int, name: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _is_trusted_link(directory: int, name: str) -> bool:
    """Say whether a link was laid by this user or root, where no other user can replace it."""
    home = os.fstat(directory)
    link = os.stat(name, dir_fd=directory, follow_symlinks=False)
    ours = {0, os.geteuid()}
    shared = home.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not home.st_mode & stat.S_ISVTX
    return {home.st_uid, link.st_uid} <= ours and not shared
