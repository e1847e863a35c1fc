"""A file that a command writes where its user says: in one step, and never over one that it did not write."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ec2lab.errors import UserError
from ec2lab.trusted_path import opened_parent

BEGINNING = 4096
"""Bytes in which a file's marker stands."""
NO_DIRECTORY = (errno.ENOENT, errno.ENOTDIR)


@dataclass(frozen=True, slots=True)
class OutputFile:
    """The file at a path. What already stands there is replaced only if it has the marker, is empty, or by force."""

    path: Path
    variable: str
    """Who named it, for errors."""
    marker: str
    """What every file of the kind has in its first bytes."""
    force: bool = False

    def check(self) -> None:
        """Raise UserError where the file can't or must not be written, before any work goes into it."""
        with self._explained(), opened_parent(self.path) as (directory, place):
            self._replaceable(directory, place)
            if not os.access(".", os.W_OK | os.X_OK, dir_fd=directory):
                raise UserError(f"{self.variable}: you may not write into {place.parent}; name another place")

    def write(self, text: str) -> Path:
        """Write the file, whole or not at all, and return its path without links. Raises UserError.

        A file that was there leaves its mode to the new one, so that no more people can read it than before.
        """
        with self._explained(), opened_parent(self.path) as (directory, place):
            before = self._replaceable(directory, place)
            _replace(directory, place.name, text.encode(), before)
            return place

    def _replaceable(self, directory: int, place: Path) -> os.stat_result | None:
        """Return what stands there and may be replaced; None for nothing."""
        try:
            before = os.stat(place.name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(before.st_mode):
            raise UserError(f"{self.variable}: {place} is not a file; name one ({self.variable}=report.html)")
        if before.st_size and not self.force and self.marker not in _beginning(directory, place.name):
            raise UserError(
                f"{self.variable}: {place} is there, and was not written by this command; name another place, or say "
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
                    f"{self.variable}: there is no directory {self.path.parent}; make it, or name another place"
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
    with suppress(FileNotFoundError):  # of one who died, and was called the same
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
    """Give a file the group and mode of the one that it replaces; without its group, none of the group's rights."""
    mode = stat.S_IMODE(before.st_mode) & 0o777
    try:
        os.fchown(descriptor, -1, before.st_gid)
    except PermissionError:
        mode &= ~stat.S_IRWXG
    os.fchmod(descriptor, mode)
