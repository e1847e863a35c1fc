"""registry.json: an append-only list of records, at rest always one valid JSON document with a record per line.

    [
    {"event":"intent",...},
    {"event":"response",...}
    ]

An append costs the same whatever the size of the file: under an exclusive flock(2) on the file itself, one pwrite(2)
puts `,`, the record and a new `]` in the place of the old `]`, and the disk has it before `append` returns.

A process killed half way leaves a torn last line. `records` leaves it out, the next `append` or `lock_experiment` cuts
it off; no record whose append returned is ever lost. A file that was laid out again by hand (`jq .`) is read as it is,
and the next `append` puts it back to a record per line in a new file that takes its place. Anything else is refused,
never changed.

Readers that take no lock (jq, less) find valid JSON unless they read while the one pwrite copies its bytes, or after a
kill that no append followed. With a reader and a writer both in a tight loop on ext4, 5 of 1,000 reads met a half
copied record of 300 bytes, 19 one of 8 kB; `flock -s registry.json jq . registry.json` waits for the writer instead.

A program that replaces the file (an archiver) holds its exclusive flock until the new one is renamed over it.

What is over is put into an archive beside the file (`file_archive`) when the file has grown by a MiB; the first record
then says how large the file was after that.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ec2lab.files import exists
from ec2lab.registry.archive import FileArchive
from ec2lab.registry.base import GROWTH, LockOwner, Needed, Registry
from ec2lab.registry.file_format import (
    EMPTY,
    FIRST_BYTES,
    TRAILER,
    as_line,
    has_lines,
    is_blank,
    is_json,
    no_record,
    normalize,
    parsed,
    records_in,
    valid_prefix_length,
)
from ec2lab.registry.file_io import (
    append_record,
    check_can_be_private,
    explained,
    flush,
    flush_directory,
    last_line,
    locked,
    make_private,
    opened,
    read_whole,
    replace_file,
    truncate_and_close,
)
from ec2lab.registry.file_lock import lock_experiment, lock_owner, lock_owners
from ec2lab.registry.record import Event, Record

if TYPE_CHECKING:
    from ec2lab.findings import Finding

KEPT = "kept_bytes"
"""The note, first in the file, that says how much was kept when something was last put away."""


@dataclass
class Known:
    """What was read of a file: a reader that comes again reads only what was added since."""

    inode: int = -1
    end: int = 0
    """Where the last record that is known ends."""
    last: bytes = b""
    """Its line."""
    count: int = 0
    """How many entries it has until there, those that were set aside among them."""
    records: list[Record] = field(default_factory=list)


class FileRegistry(Registry):
    """The registry at `path`, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known = Known()
        self._reading = threading.Lock()

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def place(self) -> str:
        """The file's path, whichever links lead to it."""
        return str(self.path.resolve())

    @property
    def _archive(self) -> FileArchive:
        file = self.path.resolve()  # beside the file itself, whichever links lead to it
        return FileArchive(file.with_name(f"{file.stem}-archive"), self.record_in)

    def append(self, record: Record) -> None:
        """Write the record; when this returns, it survives a kill and a power loss.

        Makes the file (mode 0600) if there is none. One that others may read, as a copy or a checkout leaves it, is
        made 0600 again without a word. Raises UserError if the record cannot be written, the file then being as it was;
        an interrupt leaves the record there whole or not at all. Damage further up is not looked for, `records` does.
        """
        line = as_line(record.as_json())
        appended = False
        with explained(self.path):
            while not appended:
                with locked(self.path, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX) as descriptor:
                    check_can_be_private(descriptor)
                    end = self._end_of_records(descriptor) or self._repair_tail(descriptor)
                    make_private(descriptor)  # once it is known to be a registry, and no file of something else
                    if end:
                        append_record(descriptor, end, line)
                        appended = True

    def records(self, experiment: str | None = None) -> Iterator[Record]:
        """Return all records that the registry holds now, oldest first; none if there is no file.

        Writes nothing and holds no lock once it has returned. What this object has read before is not read again.
        Raises UserError if the file is not a registry, is damaged, or was written by a newer version.
        """
        del experiment  # it costs the same to return all
        with explained(self.path), self._reading:
            try:
                with locked(self.path, os.O_RDONLY, fcntl.LOCK_SH) as descriptor:
                    inode, document, known = self._read(descriptor)
            except FileNotFoundError:
                return iter(())
            entries = self._entries(document, known.count)
            found = known.records + [record for _, record in entries if record]
            self._remember(inode, document, known, found, known.count + len(entries))
            return iter(found)

    def _entries(self, document: bytes, before: int = 0) -> list[tuple[Any, Record | None]]:
        """Return what stands in a document, each with the record that it is, behind so many others.

        Raises UserError where all of a file is something else.
        """
        loaded = records_in(document, self.path)
        line = 1 if has_lines(document, len(loaded)) else 0
        called = "line" if line else "record"
        entries = [
            (fields, self.record_in(fields, f"{self.path}: {called} {number}"))
            for number, fields in enumerate(loaded, start=before + line + 1)
        ]
        if entries and not before and not any(record for _, record in entries):
            raise no_record(self.path, next(iter(self.set_aside.values())))
        return entries

    def _read(self, descriptor: int) -> tuple[int, bytes, Known]:
        """Return the file's inode, a document of the records that are not known yet, and what is known."""
        status, known = os.fstat(descriptor), self._known
        at = known.end - len(known.last)
        if status.st_ino == known.inode and os.pread(descriptor, len(known.last), at) == known.last:
            added = os.pread(descriptor, status.st_size - known.end, known.end)
            if added == TRAILER or added.startswith(b",\n"):
                return status.st_ino, b"[\n" + added.removeprefix(b",").lstrip(), known
        return status.st_ino, read_whole(descriptor), Known()

    def _remember(self, inode: int, document: bytes, known: Known, found: list[Record], count: int) -> None:
        """Keep what was read, where it has the form in which it will be added to."""
        if not document.endswith(b"}" + TRAILER) or not document.startswith(FIRST_BYTES):
            if known.end == 0:
                self._known = Known()
            return
        line = document[document.rfind(b"\n", 0, -len(TRAILER)) + 1 : -len(TRAILER)]
        end = len(document) - len(TRAILER) + (known.end + len(b",\n") - len(b"[\n") if known.end else 0)
        self._known = Known(inode, end, line, count, found)

    def history(self, experiment: str | None = None) -> list[Record]:
        """Return all records of the file and its archive, by their time: all are of one instance's clock."""
        return self.histories(None if experiment is None else (experiment,))

    def histories(self, experiments: Collection[str] | None) -> list[Record]:
        """Return the records of some experiments, or of all, by their time; no others are kept in memory."""
        # First those of the file: what is moved meanwhile is then met twice, and not missed.
        at_hand = list(self.records())
        wanted = (
            record
            for record in chain(self._archive.records(), at_hand)
            if experiments is None or record.experiment in experiments
        )
        return sorted({record.id: record for record in wanted}.values(), key=lambda record: record.time)

    def archive(self, needed: Needed) -> int:
        """Put all but what is needed into the archive, and leave a file with what is; its lock is held throughout.

        The archive has it before the file loses it: cut off in between, both have it, and `history` counts it once.
        """
        with explained(self.path):
            if not exists(self.path):
                return 0
        with explained(self.path), locked(self.path, os.O_RDWR, fcntl.LOCK_EX) as descriptor:
            entries = self._entries(read_whole(descriptor))
            records = [record for _, record in entries if record]
            stays = needed(records)
            over = [record for record in records if record.id not in stays and KEPT not in (record.annotation or {})]
            if over:
                self._archive.add(over)
                kept = [as_line(fields) for fields, record in entries if record is None or record.id in stays]
                replace_file(self.path.resolve(), _with_size(kept))
            return len(over)

    def needs_compaction(self) -> bool:
        """Compare the file's size with what it was after something was last put away."""
        try:
            with opened(self.path, os.O_RDONLY) as descriptor:
                size = os.fstat(descriptor).st_size
                return size > GROWTH and size > GROWTH + 2 * _kept_bytes(os.pread(descriptor, 1000, 0))
        except OSError:  # whoever reads or writes it next says what is wrong with it
            return False

    @contextmanager
    def lock_experiment(self, experiment: str, script: str) -> Iterator[None]:
        """Hold an experiment by a lock of the operating system; a record that a kill tore is cut off first."""
        with lock_experiment(self.path, experiment, script):
            self._fix()
            yield

    def _fix(self) -> None:
        with explained(self.path):
            if exists(self.path):
                with locked(self.path, os.O_RDWR, fcntl.LOCK_EX) as descriptor:
                    if not self._end_of_records(descriptor):
                        self._repair_tail(descriptor)

    def is_there(self) -> bool:
        """Look for the file."""
        return exists(self.path)

    def health_findings(self) -> Iterable[Finding]:
        """Look at the file, its directory and its disk."""
        from ec2lab.registry.health import file_findings

        return file_findings(self.path)

    def lock_owners(self) -> Sequence[LockOwner]:
        """Look at the locks."""
        with explained(self.path):
            return lock_owners(self.path)

    def lock_owner(self, experiment: str) -> str:
        """Ask the operating system's lock."""
        return lock_owner(self.path, experiment)

    def _end_of_records(self, descriptor: int) -> int | None:
        """Return where the next record goes; None if the file needs mending.

        Reads the first bytes and the last record, however many there are. A power loss can leave zeros in that record
        before a perfect end of file, so it is parsed.
        """
        size = os.fstat(descriptor).st_size
        if size == len(EMPTY) and os.pread(descriptor, size, 0) == EMPTY:
            return size - len(TRAILER)
        last = last_line(descriptor, size)
        if os.pread(descriptor, len(FIRST_BYTES), 0) != FIRST_BYTES or not last.endswith(b"}" + TRAILER):
            return None
        try:
            fields = parsed(last.removesuffix(TRAILER))
        except ValueError:
            return None
        last_record = f"{self.path}: the last record"
        if self.record_in(fields, last_record) is None:
            del self.set_aside[last_record]
            self._entries(read_whole(descriptor))  # which raises where it is not alone in being none
        return size - len(TRAILER)

    def _repair_tail(self, descriptor: int) -> int | None:
        """Fix the file and return where the next record goes; None if a new file took its place."""
        document = read_whole(descriptor)
        if is_blank(document):
            truncate_and_close(descriptor, 0)
            flush(descriptor)
            flush_directory(self.path)
            return len(EMPTY) - len(TRAILER)
        if is_json(document):
            self._entries(document)
            return self._laid_out(document)
        end = valid_prefix_length(document, self.path)
        truncate_and_close(descriptor, end)
        return end

    def _laid_out(self, document: bytes) -> int | None:
        """Put a valid array in another layout back to a record per line, by a new file renamed over it; return where
        the next record goes if it has that layout, and only its last entry is no record.
        """  # noqa: D205
        lines = normalize(document, self.path)
        if lines == document:
            return len(document) - len(TRAILER)
        replace_file(self.path.resolve(), lines)
        return None


def _with_size(kept: list[bytes]) -> bytes:
    """Return a registry of lines, behind a first one that says how long they are."""
    size = Record(event=Event.ANNOTATION, annotation={KEPT: sum(map(len, kept))})
    return b"[\n" + b",\n".join([as_line(size.as_json()), *kept]) + TRAILER


def _kept_bytes(beginning: bytes) -> int:
    """Return what the first record says was kept; 0 where it says nothing."""
    first = beginning.removeprefix(b"[\n").partition(b"\n")[0].removesuffix(b",")
    try:
        return int(parsed(first)["annotation"][KEPT])
    except (ValueError, KeyError, TypeError):
        return 0
