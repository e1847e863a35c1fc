"""registry.json: an append-only list of records, always one valid JSON document with a record per line.

    [
    {"event":"intent",...},
    {"event":"response",...}
    ]

An append takes the same time whatever the size of the file: under an exclusive flock(2) on the file itself, one
pwrite(2) replaces the closing `]` with `,`, the record and a new `]`. A process that is killed in between leaves a torn
last line, which `records` skips and the next `append` or `lock_experiment` truncates. A file in another layout (`jq .`)
is read as it is, and the next `append` rewrites it. Anything else is refused and never changed.

Readers without a lock (jq, less) find valid JSON unless they read during the pwrite: in a tight loop on ext4, 5 of
1,000 reads met a partial record of 300 bytes; `flock -s registry.json jq . registry.json` waits for the writer. A
program that replaces the file (compaction) holds its exclusive flock until the new one is renamed over it.
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
from typing import Any

from ec2lab.files import exists
from ec2lab.findings import Finding
from ec2lab.registry import file_io
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
from ec2lab.registry.file_lock import lock_experiment, lock_owners
from ec2lab.registry.record import Event, Record

COMPACTION_HEADER = "live_bytes"  # the annotation, first in the file, with the size after the last compaction


@dataclass
class Known:
    """What was already read from a file, so that the next read continues there."""

    inode: int = -1
    end: int = 0
    last: bytes = b""
    count: int = 0  # number of entries up to there, invalid ones included
    records: list[Record] = field(default_factory=list)


class FileRegistry(Registry):
    """The registry at `path`, which may not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known = Known()
        self._reading = threading.Lock()

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def place(self) -> str:
        return str(self.path.resolve())

    @property
    def _archive(self) -> FileArchive:
        file = self.path.resolve()  # next to the file itself, with links resolved
        return FileArchive(file.with_name(f"{file.stem}-archive"), self.record_in)

    def append(self, record: Record) -> None:
        """Write the record. When this returns, it survives a kill and a power failure.

        Creates the file (mode 0600) if needed. A file that others may read, for example after a copy or a checkout, is
        made 0600 again. Raises UserError if the record cannot be written, with the file unchanged. After an interrupt,
        the record is there completely or not at all. Damage further up is not detected here, but in `records`.
        """
        line = as_line(record.as_json())
        appended = False
        with file_io.explained(self.path):
            while not appended:
                with file_io.locked(self.path, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX) as descriptor:
                    file_io.check_can_be_private(descriptor)
                    end = self._end_of_records(descriptor) or self._repair_tail(descriptor)
                    file_io.make_private(descriptor)  # once it is known to be a registry, and not another file
                    if end:
                        file_io.append_record(descriptor, end, line)
                        appended = True

    def records(self, experiment: str | None = None) -> Iterator[Record]:
        """Return all current records, oldest first; none if there is no file.

        Writes nothing, and holds no lock after it has returned. Known records are not read again. Raises UserError if
        the file is not a registry, is damaged, or was written by a newer version.
        """
        with file_io.explained(self.path), self._reading:
            try:
                with file_io.locked(self.path, os.O_RDONLY, fcntl.LOCK_SH) as descriptor:
                    inode, document, known = self._read(descriptor)
            except FileNotFoundError:
                return iter(())
            entries = self._entries(document, known.count)
            found = known.records + [record for _, record in entries if record]
            self._remember(inode, document, known, found, known.count + len(entries))
            return iter(found)

    def _entries(self, document: bytes, before: int = 0) -> list[tuple[Any, Record | None]]:
        """Return the entries of a document that `before` others precede, each with its record if it is valid.

        Raises UserError if nothing in a file is valid.
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
        """Return the file's inode, a document with the unknown records, and the known ones."""
        status, known = os.fstat(descriptor), self._known
        at = known.end - len(known.last)
        if status.st_ino == known.inode and os.pread(descriptor, len(known.last), at) == known.last:
            added = os.pread(descriptor, status.st_size - known.end, known.end)
            if added == TRAILER or added.startswith(b",\n"):
                return status.st_ino, b"[\n" + added.removeprefix(b",").lstrip(), known
        return status.st_ino, file_io.read_whole(descriptor), Known()

    def _remember(self, inode: int, document: bytes, known: Known, found: list[Record], count: int) -> None:
        """Remember what was read, if it is in the format to which records are appended."""
        if not document.endswith(b"}" + TRAILER) or not document.startswith(FIRST_BYTES):
            if known.end == 0:
                self._known = Known()
            return
        line = document[document.rfind(b"\n", 0, -len(TRAILER)) + 1 : -len(TRAILER)]
        end = len(document) - len(TRAILER) + (known.end + len(b",\n") - len(b"[\n") if known.end else 0)
        self._known = Known(inode, end, line, count, found)

    def history(self, experiment: str | None = None) -> list[Record]:
        """Return all records of the file and its archive by time; all are from the clock of one computer."""
        return self.histories(None if experiment is None else (experiment,))

    def histories(self, experiments: Collection[str] | None) -> list[Record]:
        """Return the records of some experiments, or of all, by time. Others are not kept in memory."""
        # The file's first: a record that is moved in between is then read twice, not missed.
        at_hand = list(self.records())
        wanted = (
            record
            for record in chain(self._archive.records(), at_hand)
            if experiments is None or record.experiment in experiments
        )
        return sorted({record.id: record for record in wanted}.values(), key=lambda record: record.time)

    def archive(self, needed: Needed) -> int:
        """Archive all records except the needed ones, and rewrite the file with those, under its lock.

        Records are in the archive before they leave the file: if interrupted, both have them, and `history` counts them
        once.
        """
        with file_io.explained(self.path):
            if not exists(self.path):
                return 0
        with file_io.explained(self.path), file_io.locked(self.path, os.O_RDWR, fcntl.LOCK_EX) as descriptor:
            entries = self._entries(file_io.read_whole(descriptor))
            records = [record for _, record in entries if record]
            stays = needed(records)
            over = [
                record
                for record in records
                if record.id not in stays and COMPACTION_HEADER not in (record.annotation or {})
            ]
            if over:
                self._archive.add(over)
                live = [as_line(fields) for fields, record in entries if record is None or record.id in stays]
                file_io.replace_file(self.path.resolve(), _with_size(live))
            return len(over)

    def needs_compaction(self) -> bool:
        """Compare the file's size with that after the last compaction."""
        try:
            with file_io.opened(self.path, os.O_RDONLY) as descriptor:
                size = os.fstat(descriptor).st_size
                return size > GROWTH and size > GROWTH + 2 * _live_bytes(os.pread(descriptor, 1000, 0))
        except OSError:  # the next read or write reports the error
            return False

    @contextmanager
    def lock_experiment(self, experiment: str, script: str) -> Iterator[None]:
        """Hold an experiment's lock of the operating system, after truncating a torn record."""
        with lock_experiment(self.path, experiment, script):
            self._fix()
            yield

    def _fix(self) -> None:
        with file_io.explained(self.path):
            if exists(self.path):
                with file_io.locked(self.path, os.O_RDWR, fcntl.LOCK_EX) as descriptor:
                    if not self._end_of_records(descriptor):
                        self._repair_tail(descriptor)

    def is_there(self) -> bool:
        return exists(self.path)

    def health_findings(self) -> Iterable[Finding]:
        from ec2lab.registry.health import file_findings

        return file_findings(self.path)

    def lock_owners(self) -> Sequence[LockOwner]:
        with file_io.explained(self.path):
            return lock_owners(self.path)

    def _end_of_records(self, descriptor: int) -> int | None:
        """Return where the next record goes; None if the file needs repair.

        Reads only the first bytes and the last record. A power failure can leave zeros in that record before an intact
        end of the file, so it is parsed.
        """
        size = os.fstat(descriptor).st_size
        if size == len(EMPTY) and os.pread(descriptor, size, 0) == EMPTY:
            return size - len(TRAILER)
        last = file_io.last_line(descriptor, size)
        if os.pread(descriptor, len(FIRST_BYTES), 0) != FIRST_BYTES or not last.endswith(b"}" + TRAILER):
            return None
        try:
            fields = parsed(last.removesuffix(TRAILER))
        except ValueError:
            return None
        last_record = f"{self.path}: the last record"
        if self.record_in(fields, last_record) is None:
            del self.set_aside[last_record]
            self._entries(file_io.read_whole(descriptor))  # raises if it is not the only invalid one
        return size - len(TRAILER)

    def _repair_tail(self, descriptor: int) -> int | None:
        """Repair the file and return where the next record goes; None if a new file replaced it."""
        document = file_io.read_whole(descriptor)
        if is_blank(document):
            file_io.truncate_and_close(descriptor, 0)
            file_io.flush(descriptor)
            file_io.flush_directory(self.path)
            return len(EMPTY) - len(TRAILER)
        if is_json(document):
            self._entries(document)
            return self._laid_out(document)
        end = valid_prefix_length(document, self.path)
        file_io.truncate_and_close(descriptor, end)
        return end

    def _laid_out(self, document: bytes) -> int | None:
        """Rewrite a valid array in another layout with one record per line. Returns None once the file is replaced.

        If the layout is right and only its last entry is invalid, returns where the next record goes.
        """
        lines = normalize(document, self.path)
        if lines == document:
            return len(document) - len(TRAILER)
        file_io.replace_file(self.path.resolve(), lines)
        return None


def _with_size(live: list[bytes]) -> bytes:
    """Return a registry of lines, with a first one that records their size."""
    size = Record(event=Event.ANNOTATION, annotation={COMPACTION_HEADER: sum(map(len, live))})
    return b"[\n" + b",\n".join([as_line(size.as_json()), *live]) + TRAILER


def _live_bytes(beginning: bytes) -> int:
    """Return the size in the first record; 0 if there is none."""
    first = beginning.removeprefix(b"[\n").partition(b"\n")[0].removesuffix(b",")
    try:
        return int(parsed(first)["annotation"][COMPACTION_HEADER])
    except (ValueError, KeyError, TypeError):
        return 0
