"""Copy a file or a tree over one connection, from either end. Python 3.9 or later: instances run it too.

The sender sends a manifest. The receiver responds with an offset for each entry (how much of it is there already), and
gets the rest of each file as one stream. A file has its own name only when it is complete: until then it is a partial
file beside it, from which an interrupted copy continues.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

PIECE = 1 << 16
MANIFEST_LIMIT = 1 << 28  # bytes of a manifest: about two million files
SIZE_LIMIT, TIME_LIMIT = 1 << 60, 1 << 63
PARTIAL = re.compile(r"\.ec2-lab-[0-9a-f]{16}-[0-9a-f]{16}\.partial")
FILE, DIRECTORY, LINK = "file", "directory", "link"
COMPLETE = -1  # the offset of an entry that needs nothing


class Entry(NamedTuple):
    path: str  # relative to the tree, with slashes; parents come first
    file_type: str
    size: int = 0
    mtime: int = 0  # in nanoseconds
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
    root: str
    single: bool  # whether `root` is a file
    entries: Sequence[Entry]
    skipped: Sequence[str] = ()
    """Paths of links that lead out of the tree, and of what is neither file, directory nor link."""

    @classmethod
    def read(cls, path: str) -> Tree:
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
    # Its target climbs only at its beginning, from a real directory, and not above the root, whatever links there are.
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
    return {"single": tree.single, "entries": [list(entry) for entry in tree.entries], "skipped": list(tree.skipped)}
