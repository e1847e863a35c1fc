"""What one durable append and one reading of all cost, in registries of growing size."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.result import Result, Row, Table
from bench.sample import Sample
from bench.turns import in_turns
from ec2lab.registry.file_format import as_line
from ec2lab.registry.file_io import flush
from ec2lab.registry.file_registry import FileRegistry
from ec2lab.registry.record import Event, Record

TITLE = "The registry against its size"
SAID = """
A record is on disk before its call is sent, so each append waits for the disk (in TMPDIR). The lower bound is a bare
write of the same number of bytes and fdatasync. Records of deleted experiments are archived automatically, so a
registry in daily use has some hundred; one with 100,000 has that many live ones.
"""
FLOOR = "bare write and fdatasync"
RECORD = 300
"""Bytes, about what a call takes."""
SIZES = (0, 1_000, 10_000, 100_000)
APPENDS = 20
"""In a run, which counts as their mean: the disk's own moods are longer than one of them."""


def measure(runs: int, sizes: tuple[int, ...] = SIZES) -> Result:
    """Append to registries of all sizes in turns, and read each."""
    with TemporaryDirectory() as directory:
        registries = {named(size): registry_with(Path(directory) / f"{size}.json", size) for size in sizes}
        appends: dict[str, Callable[[], float]] = {FLOOR: partial(mean_of, bare_append(Path(directory) / "bare"))}
        appends |= {name: partial(mean_of, partial(append, registry)) for name, registry in registries.items()}
        reads = {name: partial(milliseconds, partial(read, registry.path)) for name, registry in registries.items()}
        tables = [
            Table("append of one record", "ms", rows_of(appends, runs), against=FLOOR),
            Table("reading of all records", "ms", rows_of(reads, runs)),
        ]
    return Result(tables, runs=runs)


def rows_of(contenders: dict[str, Callable[[], float]], runs: int) -> list[Row]:
    """Measure contenders in turns."""
    return [Row(name, Sample(values)) for name, values in in_turns(contenders, runs).items()]


def named(size: int) -> str:
    """Return what a registry of so many records is called."""
    return f"{size:,} records" if size else "an empty registry"


def record() -> Record:
    """Return a record of about RECORD bytes as it stands in the file."""
    empty = Record(event=Event.ANNOTATION, annotation={"text": ""})
    return Record(event=Event.ANNOTATION, annotation={"text": "x" * (RECORD - len(as_line(empty.as_json())))})


def registry_with(path: Path, count: int) -> FileRegistry:
    """Return a registry of `count` records, written at once."""
    if count:
        path.write_bytes(b"[\n" + b",\n".join([as_line(record().as_json())] * count) + b"\n]\n")
        path.chmod(0o600)
        os.sync()
    return FileRegistry(path)


def append(registry: FileRegistry) -> None:
    """Append one record."""
    registry.append(record())


def read(path: Path) -> None:
    """Read all records, as a script does that has just begun."""
    for _ in FileRegistry(path).records():
        pass


def bare_append(path: Path) -> Callable[[], None]:
    """Return the floor: bytes written at the end of an open file, and the wait for the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write() -> None:
        os.write(descriptor, b"x" * RECORD)
        flush(descriptor)

    return write


def mean_of(call: Callable[[], None]) -> float:
    """Return the mean of some calls, in milliseconds."""
    return sum(milliseconds(call) for _ in range(APPENDS)) / APPENDS


def milliseconds(call: Callable[[], None]) -> float:
    """Return how long a call took."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000
