"""The files of a working tree as git names them: by bytes, and never following links out of the tree."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ec2lab.errors import UserError

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
"""The start of a file that stands for a large one (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md)."""
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file, or a link, whose content is its target."""

    path: bytes
    content: bytes
    is_link: bool
    is_executable: bool

    @property
    def is_lfs_pointer(self) -> bool:
        """Whether it is a Git LFS pointer."""
        return not self.is_link and self.content.startswith(LFS_POINTER)

    @property
    def leads_out(self) -> bool:
        """Whether it is a link to something outside the tree."""
        target = posixpath.normpath(posixpath.join(posixpath.dirname(self.path), self.content))
        return self.is_link and (target.startswith(b"/") or target.split(b"/")[0] == b"..")


@dataclass(frozen=True, slots=True)
class SourceTree:
    """A working tree, or a directory of one, by descriptor."""

    place: Path
    descriptor: int

    @classmethod
    @contextmanager
    def opened(cls, place: Path) -> Iterator[SourceTree]:
        """Open the tree at a path. Raises UserError."""
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield cls(place, descriptor)
        finally:
            os.close(descriptor)

    def read(self, path: bytes, limit: int) -> SourceFile | None:
        """Read a file that git names, up to a limit plus one byte; None where it no longer exists.

        git still names the files of a directory that a link replaced; they are not in the tree, and the link is. Raises
        UserError.
        """
        if path.endswith(b"/"):
            raise UserError(
                f"code.path: {self.place}: has a repository of its own in {shown(path)}, which git does not pack; "
                "copy its files in, or name it in .gitignore"
            )
        try:
            with self._parent(path) as parent:
                return _read(parent, path, limit)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as problem:
            raise UserError(f"code.path: {self.place}: {shown(path)}: can't be read: {problem.strerror}") from problem

    @contextmanager
    def _parent(self, path: bytes) -> Iterator[int]:
        """Yield a descriptor of a file's directory. Raises NotADirectoryError where a link is on the way."""
        descriptor = os.dup(self.descriptor)
        try:
            for name in path.split(b"/")[:-1]:
                if stat.S_ISLNK(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
                    raise NotADirectoryError
                inner = os.open(name, DIRECTORY, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)


def _read(parent: int, path: bytes, limit: int) -> SourceFile | None:
    name = path.rpartition(b"/")[2]
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        return SourceFile(path, os.readlink(name, dir_fd=parent), is_link=True, is_executable=False)
    if not stat.S_ISREG(status.st_mode):
        return None  # a pipe, or a directory instead of a file: unknown to git
    with os.fdopen(os.open(name, FILE, dir_fd=parent), "rb") as file:
        executable = bool(os.fstat(file.fileno()).st_mode & stat.S_IXUSR)
        return SourceFile(path, file.read(limit + 1), is_link=False, is_executable=executable)


def shown(path: bytes) -> str:
    """Return a path for people, whatever its bytes are."""
    return path.decode(errors="backslashreplace")
