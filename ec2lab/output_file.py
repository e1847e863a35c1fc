"""Writes a file at a user's path, atomically, and never over a file that the lab did not write."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ec2lab.errors import UserError

SEARCH = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW
"""O_PATH, where available, needs no permission to list the directory."""
MOST_LINKS = 40  # as many as Linux follows (path_resolution(7))
FOREIGN = "is a link that another user laid or could replace, which is not followed; name the file itself"


@contextmanager
def opened_parent(path: Path) -> Iterator[tuple[int, Path]]:
    """Yield a descriptor of a file's directory, and the file's resolved path.

    Operations by descriptor stay in that directory, whatever is replaced meanwhile. Raises OSError, PermissionError
    where another user's link is on the way.
    """
    walk = _Walk(path)
    try:
        place = walk.to_the_end()
        yield walk.directory, place
    finally:
        os.close(walk.directory)


def followed(path: Path) -> Path:
    """Return a resolved path. Raises OSError, PermissionError where another user's link is on the way."""
    with opened_parent(path) as (_, place):
        return place


class _Walk:
    """Walks the file system name by name, with a descriptor of the current directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names = list(reversed((Path.cwd() / path).parts))
        self.directory = os.open("/", SEARCH)
        self.place = Path("/")
        self.links = 0

    def to_the_end(self) -> Path:
        """Walk to the directory of the last name; return the path of that name."""
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
    """Say whether this user or root created a link, where no other user can replace it."""
    home = os.fstat(directory)
    link = os.stat(name, dir_fd=directory, follow_symlinks=False)
    ours = {0, os.geteuid()}
    shared = home.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not home.st_mode & stat.S_ISVTX
    return {home.st_uid, link.st_uid} <= ours and not shared


BEGINNING = 4096  # the marker is within this many bytes
NO_DIRECTORY = (errno.ENOENT, errno.ENOTDIR)


@dataclass(frozen=True, slots=True)
class OutputFile:
    """The file at a path. An existing file is replaced only if it has the marker, is empty, or by force."""

    path: Path
    variable: str  # the make variable that names it, for errors
    marker: str  # text at the beginning of every such file
    force: bool = False

    def check(self) -> None:
        with self._explained(), opened_parent(self.path) as (directory, place):
            self._replaceable(directory, place)
            if not os.access(".", os.W_OK | os.X_OK, dir_fd=directory):
                raise UserError(f"{self.variable}: you may not write into {place.parent}; name another place")

    def write(self, text: str) -> Path:
        """Write the file atomically, with the mode of a replaced one, and return its path. Raises UserError."""
        with self._explained(), opened_parent(self.path) as (directory, place):
            before = self._replaceable(directory, place)
            _replace(directory, place.name, text.encode(), before)
            return place

    def _replaceable(self, directory: int, place: Path) -> os.stat_result | None:
        """Return the stat of an existing file that may be replaced; None where there is none."""
        try:
            before = os.stat(place.name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(before.st_mode):
            raise UserError(f"{self.variable}: {place} is not a file; name one ({self.variable}=report.html)")
        if before.st_size and not self.force and self.marker not in _beginning(directory, place.name):
            raise UserError(
                f"{self.variable}: {place} exists, and was not written by this command; name another place, or set "
                "FORCE=1 to overwrite it"
            )
        return before

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            if problem.errno in NO_DIRECTORY:
                raise UserError(
                    f"{self.variable}: there is no directory {self.path.parent}; create it, or choose another place"
                ) from problem
            if problem.errno == errno.EISDIR:
                raise UserError(f"{self.variable}: {self.path} is not a file; name one") from problem
            if problem.errno == errno.EPERM and problem.filename:
                raise UserError(f"{self.variable}: {problem.filename} {problem.strerror}") from problem
            raise UserError(
                f"{self.variable}: {self.path} can't be written: {problem.strerror}; name another place"
            ) from problem


def _beginning(directory: int, name: str) -> str:
    with os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory), "rb") as file:
        return file.read(BEGINNING).decode(errors="replace")


def _replace(directory: int, name: str, content: bytes, before: os.stat_result | None) -> None:
    draft = f".{name[:200]}.{os.getpid()}"
    with suppress(FileNotFoundError):  # left by a process that died, with the same name
        os.unlink(draft, dir_fd=directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    descriptor = os.open(draft, flags, 0o600 if before else 0o666, dir_fd=directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if before:
                _take_over_mode(descriptor, before)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(draft, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=directory)
        raise


def _take_over_mode(descriptor: int, before: os.stat_result) -> None:
    """Give a file the group and mode of the one that it replaces; without the group, no group permissions."""
    mode = stat.S_IMODE(before.st_mode) & 0o777
    try:
        os.fchown(descriptor, -1, before.st_gid)
    except PermissionError:
        mode &= ~stat.S_IRWXG
    os.fchmod(descriptor, mode)
