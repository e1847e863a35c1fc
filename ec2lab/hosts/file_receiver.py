"""The receiving end of a copy (ec2lab/hosts/file_stream.py). Python 3.9 or later: instances run it too.

It trusts no name: it opens every directory below its own without following symbolic links, and creates only links that
lead to places within the tree.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ec2lab.hosts.file_stream import COMPLETE, DIRECTORY, FILE, LINK, PARTIAL, Entry

if TYPE_CHECKING:
    from typing_extensions import Self  # Python 3.9 has none

UMASK = os.umask(0o077)
os.umask(UMASK)


def expect_deletable(dest: str) -> None:
    """Raise OSError for a directory from which nothing may be deleted, as it holds a home or the working directory."""
    there = os.path.realpath(dest)
    for kept in (os.path.expanduser("~"), os.getcwd()):
        if os.path.commonpath((there, os.path.realpath(kept))) == there:
            raise OSError(0, "holds your home or the working directory: DELETE=1 is refused", dest)
    home = os.path.realpath(os.path.expanduser("~"))
    if "EC2_LAB_STAND_IN" in os.environ and os.path.commonpath((there, home)) != home:
        raise OSError(0, "is a directory of your own computer, not of the stand-in: DELETE=1 is refused", dest)


class Target:
    """A directory that a tree is written to, below which nothing of the tree's can lead elsewhere.

    With `delete`, what the tree does not have is deleted at the end.
    """

    def __init__(self, dest: str, entries: Sequence[Entry], *, delete: bool) -> None:
        """Create the directory. Raises OSError."""
        if delete:
            expect_deletable(dest)
        os.makedirs(dest, exist_ok=True)
        self.dest, self.entries, self.delete = dest, entries, delete
        self.root = os.open(dest, os.O_RDONLY | os.O_DIRECTORY)
        self.opened = "", os.dup(self.root)
        self.counts = {"files": 0, "unchanged": 0, "deleted": 0}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def offsets(self) -> list[int]:
        """Create directories and links, and return how much of each entry is there. Raises OSError."""
        return [self._prepare(entry) for entry in self.entries]

    def open(self, entry: Entry, offset: int) -> int:
        """Open the partial file of an entry at an offset, for this process alone. Raises OSError."""
        directory, _ = self._parent(entry.path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        file = os.open(entry.partial, flags, 0o600, dir_fd=directory)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = os.fstat(file).st_size >= offset
        except BlockingIOError:
            mine = False
        if not mine:
            os.close(file)
            raise OSError(0, "is being copied by another process", os.path.join(self.dest, entry.path))
        os.ftruncate(file, offset)
        os.lseek(file, offset, os.SEEK_SET)
        return file

    def complete(self, entry: Entry, file: int) -> None:
        """Give an entry that has all of its content its name. The descriptor stays open. Raises OSError."""
        directory, name = self._parent(entry.path)
        os.fchmod(file, (0o777 if entry.executable else 0o666) & ~UMASK)
        os.utime(file, ns=(entry.mtime, entry.mtime))
        os.replace(entry.partial, name, src_dir_fd=directory, dst_dir_fd=directory)
        self.counts["files"] += 1

    def discard(self, entry: Entry) -> None:
        _unlink(entry.partial, self._parent(entry.path)[0])

    def finish(self) -> dict[str, int]:
        """Delete what is not needed, and return what was done. Raises OSError."""
        if self.delete:
            self._delete()
        self._delete_partials()
        return self.counts

    def close(self) -> None:
        os.close(self.root)
        os.close(self.opened[1])

    def _prepare(self, entry: Entry) -> int:
        directory, name = self._parent(entry.path)
        found = _status(name, directory)
        if entry.file_type == DIRECTORY:
            if found is None:
                os.mkdir(name, dir_fd=directory)
            elif not stat.S_ISDIR(found.st_mode):
                raise OSError(0, "is in the way of a directory", os.path.join(self.dest, entry.path))
            return COMPLETE
        if entry.file_type == LINK:
            if not (found and stat.S_ISLNK(found.st_mode) and os.readlink(name, dir_fd=directory) == entry.target):
                _unlink(entry.partial, directory)
                os.symlink(entry.target, entry.partial, dir_fd=directory)
                os.replace(entry.partial, name, src_dir_fd=directory, dst_dir_fd=directory)
            return COMPLETE
        if found and stat.S_ISREG(found.st_mode) and (found.st_size, found.st_mtime_ns) == (entry.size, entry.mtime):
            self.counts["unchanged"] += 1
            return COMPLETE
        partial = _status(entry.partial, directory)
        return partial.st_size if partial and stat.S_ISREG(partial.st_mode) and partial.st_size <= entry.size else 0

    def _parent(self, path: str) -> tuple[int, str]:
        """Return a descriptor of a path's directory, which is no link and is reached by none, and the last name."""
        parent, _, name = path.rpartition("/")
        if parent != self.opened[0]:
            os.close(self.opened[1])
            self.opened = "", os.dup(self.root)
            for part in parent.split("/") if parent else ():
                directory = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=self.opened[1])
                os.close(self.opened[1])
                self.opened = "", directory
            self.opened = parent, self.opened[1]
        return self.opened[1], name

    def _delete_partials(self) -> None:
        mine = {entry.partial[:25] for entry in self.entries if entry.file_type == FILE}
        for place in {entry.path.rpartition("/")[0] for entry in self.entries if entry.file_type == FILE}:
            directory, _ = self._parent(f"{place}/." if place else ".")
            for name in os.listdir(directory):
                if PARTIAL.fullmatch(name) and name[:25] in mine:
                    _unlink(name, directory)

    def _delete(self) -> None:
        kept = {entry.path for entry in self.entries}
        for place, directories, files, directory in os.fwalk(".", topdown=False, dir_fd=self.root):
            below = "" if place == "." else f"{place[2:]}/"
            for name in files:
                if f"{below}{name}" not in kept:
                    os.unlink(name, dir_fd=directory)
                    self.counts["deleted"] += 1
            for name in directories:
                if f"{below}{name}" in kept:
                    continue
                found = _status(name, directory)
                remove = os.unlink if found and stat.S_ISLNK(found.st_mode) else os.rmdir
                remove(name, dir_fd=directory)
                self.counts["deleted"] += 1


class Receiver(Target):
    """Writes a tree that arrives as a stream."""

    def __init__(self, dest: str, single: bool, entries: Sequence[Entry], *, delete: bool) -> None:
        """Create the directory. A single file goes into `dest` if that is a directory. Raises OSError."""
        if single and not (dest.endswith("/") or os.path.isdir(dest)):
            dest, name = os.path.split(os.path.abspath(dest))
            entries = [entries[0]._replace(path=name)]
        if delete and single:
            raise OSError(0, "is for a single file: DELETE=1 is for directories", dest)
        super().__init__(dest, entries, delete=delete)
        self.file = self.left = -1
        self.queue: list[tuple[Entry, int]] = []

    def offsets(self) -> list[int]:
        """Create directories and links, and return how much of each entry is there. Raises OSError."""
        found = super().offsets()
        self.queue = [
            (entry, offset)
            for entry, offset in zip(self.entries, found)
            if entry.file_type == FILE and offset != COMPLETE
        ][::-1]
        self._next()
        return found

    def feed(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            if self.file < 0:
                raise ValueError("more than the manifest has")
            written = os.write(self.file, rest[: self.left])
            rest, self.left = rest[written:], self.left - written
            self._next()

    def finish(self) -> dict[str, int]:
        if self.queue:
            raise ValueError("the connection ended before the copy was complete; the next one continues")
        return super().finish()

    def close(self) -> None:
        super().close()
        if self.file >= 0:
            os.close(self.file)

    def _next(self) -> None:
        while self.queue and self.left <= 0:
            entry, offset = self.queue[-1]
            if self.file < 0:
                self.file = self.open(entry, offset)
                self.left = entry.size - offset
                continue
            self.complete(entry, self.file)
            os.close(self.file)
            self.file, self.left = -1, -1
            self.queue.pop()


def _status(name: str, directory: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _unlink(name: str, directory: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
