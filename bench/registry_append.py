"""What one durable append costs, in an empty registry and in a big one: `python -m bench.registry_append`.

Prints medians in milliseconds, beside a bare write and fdatasync of as many bytes, which is the floor of this disk.
"""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.core.record import Event, Record
from scripts.registries.file_access import flush
from scripts.registries.file_form import as_line
from scripts.registries.file_registry import FileRegistry

APPENDS = 500
MANY = 100_000


def record_of(size: int) -> Record:
    """Return a record of about `size` bytes as it stands in the file."""
    empty = Record(event=Event.NOTE, note={"text": ""})
    return Record(event=Event.NOTE, note={"text": "x" * (size - len(as_line(empty.as_json())))})


def registry_with(path: Path, count: int, size: int) -> FileRegistry:
    """Return a registry of `count` records, written at once."""
    if count:
        line = as_line(record_of(size).as_json())
        path.write_bytes(b"[\n" + b",\n".join([line] * count) + b"\n]\n")
        path.chmod(0o600)
        os.sync()
    return FileRegistry(path)


def bare_append(path: Path, size: int) -> Callable[[], None]:
    """Return the floor: `size` bytes written at the end of an open file, and the wait for the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append() -> None:
        os.write(descriptor, b"x" * size)
        flush(descriptor)

    return append


def milliseconds(call: Callable[[], None]) -> float:
    """Return how long the call took."""
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1000


def compare(directory: Path, size: int) -> None:
    """Print the medians for records of `size` bytes; the three take turns, so that the disk's moods hit them alike."""
    empty = registry_with(directory / "empty.json", 0, size)
    big = registry_with(directory / "big.json", MANY, size)
    contenders: dict[str, Callable[[], None]] = {
        "bare write + fdatasync": bare_append(directory / "bare", size),
        "empty registry": lambda: empty.append(record_of(size)),
        f"of {MANY:,} records": lambda: big.append(record_of(size)),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(APPENDS):
        for name, call in contenders.items():
            times[name].append(milliseconds(call))
    for name, taken in times.items():
        print(f"{size:>6} bytes  {name:<24} {statistics.median(taken):.3f} ms")
    _, small, large = (statistics.median(taken) for taken in times.values())
    print(f"{size:>6} bytes  big / empty              {large / small:.2f}")


def main() -> None:
    """Measure short records and long ones in the directory for temporary files (TMPDIR)."""
    for size in (300, 8_000):
        with TemporaryDirectory() as directory:
            compare(Path(directory), size)


if __name__ == "__main__":
    main()
