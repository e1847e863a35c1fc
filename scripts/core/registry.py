"""registry.json: an append-only list of records, at rest always one valid JSON document with a record per line.

    [
    {"event":"intent",...},
    {"event":"answer",...}
    ]

An append costs the same whatever the size of the file: under an exclusive flock(2) on the file itself, one pwrite(2)
puts `,`, the record and a new `]` in the place of the old `]`, and the disk has it before `append` returns.

A process killed half way leaves a torn last line. `records` leaves it out, the next `append` cuts it off; no record
whose append returned is ever lost. A file that was laid out anew by hand (`jq .`) is read as it is, and the next
`append` puts it back to a record per line in a new file that takes its place. Anything else is refused, never changed.

Readers that take no lock (jq, less) find valid JSON unless they read while the one pwrite copies its bytes, or after a
kill that no append followed. With a reader and a writer both in a tight loop on ext4, 5 of 1,000 reads met a half
copied record of 300 bytes, 19 one of 8 kB; `flock -s registry.json jq . registry.json` waits for the writer instead.

A program that replaces the file (an archiver) holds its exclusive flock until the new one is renamed over it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.core.record import Record
from scripts.core.registry_file import (
    append_at,
    close_after,
    explained,
    flush,
    flush_directory,
    last_line,
    locked,
    make_private,
    opened,
    read_whole,
    write_whole,
)
from scripts.core.registry_mending import (
    CLOSING,
    EMPTY,
    FIRST_BYTES,
    as_line,
    as_record,
    in_line_form,
    is_blank,
    is_json,
    kept_length,
    parsed,
    records_in,
)


@dataclass(frozen=True)
class Registry:
    """The registry at `path`, which need not exist yet; safe to share between threads and processes."""

    path: Path

    def append(self, record: Record) -> None:
        """Write the record; when this returns, it survives a kill and a power loss.

        Makes the file (mode 0600) if there is none. One that others may read, as a copy or a checkout leaves it, is
        made 0600 again without a word. Raises LabError if the record cannot be written, the file then being as it was;
        an interrupt leaves the record there whole or not at all. Damage further up is not looked for, `records` does.
        """
        line = as_line(record.as_json())
        appended = False
        with explained(self.path):
            while not appended:
                with locked(self.path, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX) as descriptor:
                    make_private(descriptor)
                    end = self._end_of_records(descriptor) or self._mended_end(descriptor)
                    if end:
                        append_at(descriptor, end, line)
                        appended = True

    def records(self) -> Iterator[Record]:
        """Return the records that the registry holds now, oldest first; none if there is no file.

        Writes nothing and holds no lock once it has returned. Raises LabError, at the latest when the record in
        question is reached, if the file is not a registry, is damaged, or was written by a newer version.
        """
        with explained(self.path):
            document = self._read()
        loaded = enumerate(records_in(document, self.path), start=1)
        return (as_record(fields, self.path, f"record {number}") for number, fields in loaded)

    def _read(self) -> bytes:
        try:
            with locked(self.path, os.O_RDONLY, fcntl.LOCK_SH) as descriptor:
                return read_whole(descriptor)
        except FileNotFoundError:
            return b""

    def _end_of_records(self, descriptor: int) -> int | None:
        """Return where the next record goes; None if the file needs mending.

        Reads the first bytes and the last record, however many there are. A power loss can leave zeros in that record
        before a perfect end of file, so it is parsed.
        """
        size = os.fstat(descriptor).st_size
        if size == len(EMPTY) and os.pread(descriptor, size, 0) == EMPTY:
            return size - len(CLOSING)
        last = last_line(descriptor, size)
        if os.pread(descriptor, len(FIRST_BYTES), 0) != FIRST_BYTES or not last.endswith(b"}" + CLOSING):
            return None
        try:
            as_record(parsed(last.removesuffix(CLOSING)), self.path, "the last record")
        except ValueError:
            return None
        return size - len(CLOSING)

    def _mended_end(self, descriptor: int) -> int | None:
        """Mend the file and return where the next record goes; None if a new file took its place."""
        document = read_whole(descriptor)
        if is_blank(document):
            close_after(descriptor, 0)
            flush(descriptor)
            flush_directory(self.path)
            return len(EMPTY) - len(CLOSING)
        if is_json(document):
            self._replace(document)
            return None
        end = kept_length(document, self.path)
        close_after(descriptor, end)
        return end

    def _replace(self, document: bytes) -> None:
        """Put a valid array in another layout back to a record per line, by a new file renamed over it."""
        mended = in_line_form(document, self.path)
        target = self.path.resolve()
        draft = target.with_name(f"{target.name}.mending")
        with opened(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as descriptor:
            write_whole(descriptor, mended, 0)
            flush(descriptor)
        draft.replace(target)
        flush_directory(target)
