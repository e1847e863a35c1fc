"""What 100,000 records of history cost `make status`, in a file and in a table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import islice

from bench.local_lab import LocalLab, local_lab
from bench.result import Goal, Result, Row, Table
from bench.sample import Sample
from bench.turns import in_turns
from ec2lab.config.lab_files import load_lab
from ec2lab.registry import base as of_files
from ec2lab.registry import dynamodb_registry as of_tables
from ec2lab.registry.base import Registry
from ec2lab.registry.dynamodb_items import packed
from ec2lab.registry.file_format import as_line
from ec2lab.registry.file_registry import FileRegistry
from ec2lab.registry.record import Record
from ec2lab.session import Session
from tests.registries.long_history import compact, runs_of

TITLE = "A long history"
SAID = """
`make status` with a registry of 100,000 records, those of launches and teardowns under different names, archived as
in normal use. A full registry is one record away from its next archiving.
"""
RECORDS, GOAL = 100_000, 1.3
KINDS = {
    "file": ("empty.json", "long.json", "full.json"),
    "table": tuple(f"dynamodb://us-east-1/{name}" for name in ("empty", "long", "full")),
}
NAMES = ("an empty registry", "a long history", "a long history, full")
FILES = {"lab.toml": 'regions = ["us-east-1"]\n', "experiments/demo.toml": 'instance_types = ["g5.xlarge"]\n'}


def measure(runs: int, records: int = RECORDS) -> Result:
    """Fill registries of both kinds, and time a status with each in turns."""
    with local_lab(FILES) as local:
        one = records_of_one_run(local)
        tables = []
        for kind, addresses in KINDS.items():
            fill_all(local, one, addresses, records)
            status = {
                name: partial(local.seconds, "status", REGISTRY=address)
                for name, address in zip(NAMES, addresses, strict=True)
            }
            rows = [Row(name, Sample(values)) for name, values in in_turns(status, runs).items()]
            tables.append(Table(f"make status, registry in a {kind}", "s", rows, against=NAMES[0]))
    goals = [Goal(f"{t.title}: {NAMES[-1]}, of an empty one", t[NAMES[-1]].over(t[NAMES[0]]), GOAL) for t in tables]
    return Result(tables, goals, runs)


def records_of_one_run(local: LocalLab) -> list[Record]:
    """Launch and tear down, and return what is on record of it: the second time, when the region is prepared."""
    for registry in ("first.json", "one.json"):
        for script in ("launch", "teardown"):
            local.seconds(script, EXP="demo", REGISTRY=registry)
    session = Session(local.lab.path, load_lab(local.lab.path), "bench")
    return list(session.registry_at("one.json", "bench").records())


def fill_all(local: LocalLab, one: Sequence[Record], addresses: Sequence[str], records: int) -> None:
    """Leave the first registry empty; give the others a history, and the last one as much at hand as stays there."""
    session = Session(local.lab.path, load_lab(local.lab.path), "bench")
    _, long, full = (session.registry_at(address, "bench") for address in addresses)
    for registry in (long, full):
        compact(registry, islice(runs_of(one, "over"), records))
    fill(full, one)
    session.close()


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
