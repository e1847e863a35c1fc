"""Many real processes at one registry, some of them killed."""

import json
import os
import random
from multiprocessing import get_context
from pathlib import Path

import pytest

from ec2lab.registry.file_registry import FileRegistry
from ec2lab.registry.record import Event, Record
from tests.full import examples

CONTEXT = get_context("fork")


def write(path: Path, count: int, size: int, told: int) -> None:
    """Append `count` records with `size` characters of padding; tell the id of each once it is acknowledged."""
    registry = FileRegistry(path)
    for _ in range(count):
        record = Record(event=Event.ANNOTATION, annotation={"padding": "é" * size})
        registry.append(record)
        os.write(told, f"{record.id}\n".encode())


class Writer:
    """A process that appends records and tells which were acknowledged."""

    def __init__(self, path: Path, count: int, size: int) -> None:
        ours, theirs = os.pipe()
        self.process = CONTEXT.Process(target=write, args=(path, count, size, theirs), daemon=True)
        self.process.start()
        os.close(theirs)
        self.told = os.fdopen(ours)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.json"


def acknowledged_by(writers: list[Writer]) -> list[str]:
    """Return what writers tell until they end."""
    ids = []
    for writer in writers:
        with writer.told:
            ids += writer.told.read().split()
        writer.process.join()
    return ids


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def test_64_processes_appending_at_once_lose_and_tear_nothing(path: Path) -> None:
    each = examples(30)
    writers = [Writer(path, each, 20) for _ in range(64)]
    ids = acknowledged_by(writers)
    assert [writer.process.exitcode for writer in writers] == [0] * 64
    assert sorted(record["id"] for record in json.loads(path.read_bytes())) == sorted(ids)
    assert len(set(ids)) == 64 * each
    assert len(lines_of(path)) == 64 * each + 2


def test_what_was_acknowledged_outlives_writers_killed_at_any_moment(path: Path) -> None:
    doomed = [Writer(path, 1_000_000, size) for size in (10, 1_000, 10_000, 40_000) * 3]
    lucky = [Writer(path, 100, 100) for _ in range(12)]
    ids = []
    for writer in doomed:
        ids += [writer.told.readline().strip() for _ in range(random.randrange(1, 20))]
        writer.process.kill()
    ids += acknowledged_by(doomed) + acknowledged_by(lucky)
    last = Record(event=Event.ANNOTATION)
    FileRegistry(path).append(last)
    found = {each["id"] for each in json.loads(path.read_bytes())}
    assert {*ids, last.id} <= found
    assert found == {record.id for record in FileRegistry(path).records()}
    assert len(found) == len(lines_of(path)) - 2
