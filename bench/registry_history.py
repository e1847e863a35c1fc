"""What 100,000 records of history cost `make status`, in a file and in a table: `python -m bench.registry_history`.

The records are those of a launch and its teardown, again and again under other names, put away as use leaves them. A
full registry has so much at hand besides that the next records would have some put away. Each status is timed as a
whole process, in turns with that of an empty registry on the same machine and the same local cloud.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from scripts.core import registry as of_files
from scripts.core.config import load_lab
from scripts.core.local_server import ensure_running, stop
from scripts.core.record import Record
from scripts.core.registry import Registry
from scripts.core.session import Session
from scripts.registries import dynamodb_registry as of_tables
from scripts.registries.dynamodb_items import packed
from scripts.registries.file_form import as_line
from scripts.registries.file_registry import FileRegistry
from tests.lab_directory import LabDirectory
from tests.registries.long_history import put_away, runs_of

RECORDS, RUNS, GOAL = 100_000, 11, 1.3
KINDS = {
    "file": ("empty.json", "long.json", "full.json"),
    "table": tuple(f"dynamodb://us-east-1/{name}" for name in ("empty", "long", "full")),
}


def main() -> None:
    """Fill registries, and print each one's median beside the empty one's."""
    with tempfile.TemporaryDirectory() as temporary:
        lab = LabDirectory(Path(temporary))
        lab.write("lab.toml", 'regions = ["us-east-1"]\n')
        lab.write("experiments/demo.toml", 'types = ["g5.xlarge"]\n')
        ensure_running(lab.path / ".local-cloud")
        try:
            one = records_of_one_run(lab)
            for kind, addresses in KINDS.items():
                measure(lab, one, kind, addresses)
        finally:
            stop(lab.path / ".local-cloud")


def records_of_one_run(lab: LabDirectory) -> list[Record]:
    """Launch and tear down, and return what is on record of it: the second time, when the region is prepared."""
    for registry in ("first.json", "one.json"):
        for script in ("launch", "teardown"):
            timed(lab, script, registry)
    return list(Session(lab.path, load_lab(lab.path), "bench").registry_at("one.json", "bench").records())


def measure(lab: LabDirectory, one: Sequence[Record], kind: str, addresses: Sequence[str]) -> None:
    """Compare an empty registry with a long and a full one of the same kind."""
    session = Session(lab.path, load_lab(lab.path), "bench")
    _, long, full = (session.registry_at(address, "bench") for address in addresses)
    for registry in (long, full):
        put_away(registry, islice(runs_of(one, "over"), RECORDS))
    at_hand = fill(full, one)
    session.close()
    print(f"{kind}: {RECORDS:,} records, {len(one)} for each launch and teardown; full: {at_hand} more at hand")
    compare(lab, addresses)


def fill(registry: Registry, one: Sequence[Record]) -> int:
    """Write as many more records as stay at hand; return how many."""
    is_file = isinstance(registry, FileRegistry)
    room = 0.97 * (of_files.GROWTH if is_file else of_tables.GROWTH)
    fresh: list[Record] = []
    for record in runs_of(one, "fresh"):
        room -= len(as_line(record.as_json())) if is_file else len(packed(record, 0).body)
        if room < 0:
            break
        fresh.append(record)
    registry.append_all(fresh)
    return len(fresh)


def compare(lab: LabDirectory, addresses: Sequence[str]) -> None:
    """Time the registries in turns, the first turn uncounted; print medians, and ratios to the first registry's."""
    seconds: dict[str, list[float]] = {address: [] for address in addresses}
    for run in range(RUNS + 1):
        for address, took in seconds.items():
            passed = timed(lab, "status", address)
            if run:
                took.append(passed)
    empty = statistics.median(seconds[addresses[0]])
    for address, took in seconds.items():
        median = statistics.median(took)
        ratio = f"ratio {median / empty:.2f} (goal {GOAL})"
        print(f"  status with {address:<28} {median:.3f} s ({min(took):.3f} to {max(took):.3f}), {ratio}")


def timed(lab: LabDirectory, script: str, registry: str) -> float:
    """Run a script with a registry; return its seconds as a whole process."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", f"scripts.{script}"], cwd=lab.path, env=lab.environment(EXP="demo", REGISTRY=registry),
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
