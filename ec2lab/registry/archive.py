"""The archive next to a registry file: a compressed file per month, one record per line.

registry-archive/2026-11.jsonl.gz is extended by rewriting and renaming it, so it is always complete. A record may be in
it twice if archiving was interrupted before the record was removed from the registry. Nothing can be read after damaged
data, so a damaged file is not extended: new records are in 2026-11-2.jsonl.gz.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import count, groupby
from pathlib import Path
from typing import Any

from ec2lab.errors import UserError
from ec2lab.files import exists, private_directory
from ec2lab.registry.file_format import as_line, parsed
from ec2lab.registry.file_io import explained, flush_directory, replace_file
from ec2lab.registry.record import Record

CORRUPTION_ERRORS = (EOFError, ValueError, gzip.BadGzipFile, zlib.error)


@dataclass(frozen=True, slots=True)
class FileArchive:
    directory: Path
    record_in: Callable[[Any, str], Record | None]  # reads a record; sets aside what is not one

    def add(self, records: Sequence[Record]) -> None:
        """Write records and flush them to disk. The caller ensures that nobody else writes."""
        is_new = not exists(self.directory)
        private_directory(self.directory)
        if is_new:
            flush_directory(self.directory)
        for month, group in groupby(sorted(records, key=_month), key=_month):
            path, before = self._check_integrity(month)
            lines = b"".join(as_line(record.as_json()) + b"\n" for record in group)
            # Concatenated gzip members are one file (https://www.rfc-editor.org/rfc/rfc1952, 2.2).
            replace_file(path, before + gzip.compress(lines, compresslevel=6, mtime=0))

    def _check_integrity(self, month: str) -> tuple[Path, bytes]:
        """Return the first file of a month that can be extended, and its content."""
        for number in count(1):
            path = self.directory / (f"{month}.jsonl.gz" if number == 1 else f"{month}-{number}.jsonl.gz")
            before = path.read_bytes() if exists(path) else b""
            with suppress(*CORRUPTION_ERRORS):
                _iter_lines(before)
                return path, before
        raise AssertionError("numbers do not end")

    def records(self) -> Iterator[Record]:
        """Yield all records, earliest month first. Raises UserError that names a damaged file."""
        for path in sorted(self.directory.glob("*.jsonl.gz")):
            with explained(path):
                try:
                    with gzip.open(path) as lines:
                        for number, line in enumerate(lines, 1):
                            if record := self.record_in(parsed(line), f"{path}: line {number}"):
                                yield record
                except CORRUPTION_ERRORS as problem:
                    raise UserError(f"{path}: is damaged ({problem}); restore a copy, or move it away") from problem


def _iter_lines(packed: bytes) -> None:
    """Decompress a file piece by piece. Raises the errors in DAMAGE."""
    with gzip.open(BytesIO(packed)) as file:
        while file.read(1 << 20):
            pass


def _month(record: Record) -> str:
    found = re.match(r"\d{4}-\d{2}", record.time)
    return found[0] if found else "undated"
