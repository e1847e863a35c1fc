"""Copy a file or a tree over one connection, from either end. Python 3.9 or later: instances run it too.

The sender sends a manifest. The receiver responds with an offset for each entry (how much of it is there already), and
gets the rest of each file as one stream. A file has its own name only when it is complete: until then it is a partial
file beside it, from which an interrupted copy continues.

The receiver trusts no name: it opens every directory below its own without following symbolic links, and creates only
links that lead to places within the tree.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

PIECE = 1 << 16
MANIFEST_LIMIT = 1 << 28
"""Bytes of a manifest: about two million files."""
SIZE_LIMIT, TIME_LIMIT = 1 << 60, 1 << 63
PARTIAL = re.compile(r"\.ec2-lab-[0-9a-f]{16}-[0-9a-f]{16}\.partial")
FILE, DIRECTORY, LINK = "file", "directory", "link"
COMPLETE = -1
"""The offset of an entry that needs nothing."""
UMASK = os.umask(0o077)
os.umask(UMASK)


class Entry(NamedTuple):
    """A file, a directory or a link."""

    path: str
    """Relative to the tree, with slashes; parents come first."""
    file_type: str
    size: int = 0
    mtime: int = 0
    """In nanoseconds."""
    executable: bool = False
    target: str = ""

    @property
    def partial(self) -> str:
        """The name of the partial file: another one for each name and for each version of the content."""
        version = f"{self.path}\0{self.size}\0{self.mtime}"
        return f".ec2-lab-{_digest(self.path)}-{_digest(version)}.partial"


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]


class Tree(NamedTuple):
    """What is to be copied."""

    root: str
    single: bool
    """Whether `root` is a file."""
    entries: Sequence[Entry]
    skipped: Sequence[str] = ()
    """Paths of links that lead out of the tree, and of what is neither file, directory nor link."""

    @classmethod
    def read(cls, path: str) -> Tree:
        """Describe what is at a path. Raises OSError."""
        root = os.path.realpath(path)
        found = os.stat(root)
        if stat.S_ISDIR(found.st_mode):
            entries, skipped = list[Entry](), list[str]()
            _scan(root, "", entries, skipped)
            return cls(root, False, entries, skipped)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(0, "is neither a file nor a directory", path)
        return cls(root, True, [_file(os.path.basename(os.path.abspath(path)), found)])

    def contents(self, offsets: Sequence[int]) -> Iterator[bytes]:
        """Yield what the receiver lacks, in the order of the entries. Raises OSError, also if a file has changed."""
        for entry, offset in zip(self.entries, offsets):
            if entry.file_type == FILE and offset != COMPLETE:
                path = self.root if self.single else os.path.join(self.root, entry.path)
                yield from _rest_of(path, entry, offset)


def _scan(root: str, below: str, entries: list[Entry], skipped: list[str]) -> None:
    with os.scandir(os.path.join(root, below)) as found:
        names = sorted(found, key=lambda one: one.name)
    for one in names:
        path, how = f"{below}{one.name}", one.stat(follow_symlinks=False)
        if stat.S_ISDIR(how.st_mode):
            entries.append(Entry(path, DIRECTORY))
            _scan(root, f"{path}/", entries, skipped)
        elif stat.S_ISREG(how.st_mode):
            if not PARTIAL.fullmatch(one.name):
                entries.append(_file(path, how))
        elif stat.S_ISLNK(how.st_mode) and stays_inside(path, target := os.readlink(one.path)):
            entries.append(Entry(path, LINK, target=target))
        else:
            skipped.append(path)


def _file(path: str, found: os.stat_result) -> Entry:
    return Entry(path, FILE, found.st_size, found.st_mtime_ns, bool(found.st_mode & stat.S_IXUSR))


def _rest_of(path: str, entry: Entry, offset: int) -> Iterator[bytes]:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        file.seek(offset)
        left = entry.size - offset
        while left:
            piece = file.read(min(PIECE, left))
            if not piece:
                raise OSError(0, "became shorter while it was copied", path)
            left -= len(piece)
            yield piece
        if os.fstat(file.fileno()).st_mtime_ns != entry.mtime:
            raise OSError(0, "changed while it was copied: copy it again", path)


def stays_inside(path: str, target: str) -> bool:
    """Return whether a link at `path` leads to a place within the tree, whatever other such links there are.

    Its target climbs only at its beginning, from a real directory, and not above the root.
    """
    parts = target.split("/")
    climbs = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    return bool(target) and parts[0] != "" and ".." not in parts[climbs:] and climbs <= path.count("/")


def parse_line(line: bytes) -> Any:
    """Return the JSON that the other end sends. Raises ValueError, also if it is nested too deeply."""
    try:
        return json.loads(line)
    except RecursionError as problem:
        raise ValueError("JSON that is nested too deeply") from problem


def parse_manifest(document: Any) -> tuple[bool, list[Entry], list[str]]:
    """Return (whether it is a single file, entries, skipped paths). Raises ValueError, TypeError or KeyError."""
    single, skipped = document["single"], [str(path) for path in document["skipped"]]
    entries = [Entry(*entry) for entry in document["entries"]]
    directories, seen = {""}, set()
    for entry in entries:
        if not isinstance(entry.path, str):
            raise TypeError("a name that is no text")
        parent, _, name = entry.path.rpartition("/")
        valid = (
            isinstance(entry.target, str) and isinstance(entry.executable, bool)
            and type(entry.size) is int and 0 <= entry.size < SIZE_LIMIT
            and type(entry.mtime) is int and -TIME_LIMIT < entry.mtime < TIME_LIMIT
            and parent in directories and entry.path not in seen
            and name not in ("", ".", "..") and "\0" not in entry.path and not PARTIAL.fullmatch(name)
            and entry.file_type in (FILE, DIRECTORY, LINK)
            and (entry.file_type != LINK or ("\0" not in entry.target and stays_inside(entry.path, entry.target)))
        )  # fmt: skip
        if not valid:
            raise ValueError(f"a name that leads elsewhere, or that is none: {entry.path!r}")
        seen.add(entry.path)
        if entry.file_type == DIRECTORY:
            directories.add(entry.path)
    if single is not False and (len(entries) != 1 or entries[0].file_type != FILE or "/" in entries[0].path):
        raise ValueError("a single file that is none")
    return bool(single), entries, skipped


def manifest(tree: Tree) -> dict[str, Any]:
    """Return what `parse_manifest` reads."""
    return {"single": tree.single, "entries": [list(entry) for entry in tree.entries], "skipped": list(tree.skipped)}


def expect_deletable(dest: str) -> None:
    """Raise OSError for a directory from which nothing may be deleted, as it holds a home or the working directory."""
    there = os.path.realpath(dest)
    for kept in (os.path.expanduser("~"), os.getcwd()):
        if os.path.commonpath((there, os.path.realpath(kept))) == there:
            raise OSError(0, "holds your home or the working directory: DELETE=1 is refused", dest)
    home = os.path.realpath(os.path.expanduser("~"))
    if "EC2_LAB_STAND_IN" in os.environ and os.path.commonpath((there, home)) != home:
        raise OSError(0, "is a directory of your own computer, not of the stand-in: DELETE=1 is refused", dest)


class Receiver:
    """Writes a tree. With `delete`, what the tree does not have is deleted at the end."""

    def __init__(self, dest: str, single: bool, entries: Sequence[Entry], *, delete: bool) -> None:
        """Create the directory. A single file goes into `dest` if that is a directory. Raises OSError."""
        if single and not (dest.endswith("/") or os.path.isdir(dest)):
            dest, name = os.path.split(os.path.abspath(dest))
            entries = [entries[0]._replace(path=name)]
        if delete and single:
            raise OSError(0, "is for a single file: DELETE=1 is for directories", dest)
        if delete:
            expect_deletable(dest)
        os.makedirs(dest, exist_ok=True)
        self.dest, self.entries, self.delete = dest, entries, delete
        self.root = os.open(dest, os.O_RDONLY | os.O_DIRECTORY)
        self.opened = "", os.dup(self.root)
        self.counts = {"files": 0, "unchanged": 0, "deleted": 0}
        self.file = self.left = -1
        self.queue: list[tuple[Entry, int]] = []

    def __enter__(self) -> Receiver:
        """Enter the call."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def offsets(self) -> list[int]:
        """Create directories and links, and return how much of each entry is there. Raises OSError."""
        found = [self._prepare(entry) for entry in self.entries]
        self.queue = [
            (entry, offset)
            for entry, offset in zip(self.entries, found)
            if entry.file_type == FILE and offset != COMPLETE
        ][::-1]
        self._next()
        return found

    def feed(self, content: bytes) -> None:
        """Take a part of the stream. Raises OSError, ValueError."""
        rest = memoryview(content)
        while rest:
            if self.file < 0:
                raise ValueError("more than the manifest has")
            written = os.write(self.file, rest[: self.left])
            rest, self.left = rest[written:], self.left - written
            self._next()

    def finish(self) -> dict[str, int]:
        """Return what was done. Raises OSError, and ValueError if something is missing."""
        if self.queue:
            raise ValueError("the connection ended before the copy was complete; the next one continues")
        if self.delete:
            self._delete()
        self._delete_partials()
        return self.counts

    def close(self) -> None:
        """Close all descriptors."""
        for descriptor in (self.root, self.opened[1], self.file):
            if descriptor >= 0:
                os.close(descriptor)

    def _next(self) -> None:
        """Complete each file that has all of its content, and open the one after."""
        while self.queue and self.left <= 0:
            entry, offset = self.queue[-1]
            directory, name = self._parent(entry.path)
            if self.file < 0:
                self.file = self._open(entry, offset, directory)
                self.left = entry.size - offset
                continue
            os.fchmod(self.file, (0o777 if entry.executable else 0o666) & ~UMASK)
            os.utime(self.file, ns=(entry.mtime, entry.mtime))
            os.replace(entry.partial, name, src_dir_fd=directory, dst_dir_fd=directory)
            os.close(self.file)
            self.counts["files"] += 1
            self.file, self.left = -1, -1
            self.queue.pop()

    def _open(self, entry: Entry, offset: int, directory: int) -> int:
        """Open the partial file of an entry at an offset, for this process alone. Raises OSError."""
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
        """Delete the partial files of earlier versions."""
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


def _status(name: str, directory: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _unlink(name: str, directory: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
