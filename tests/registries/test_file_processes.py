"""Many real processes at one registry, some of them killed."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from scripts.core.registry.record import Event, Record
from scripts.registries.file_registry import FileRegistry

ROOT = Path(__file__).parents[2]
Writer = subprocess.Popen[bytes]
StartWriter = Callable[[int, int], Writer]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.json"


@pytest.fixture
def start_writer(path: Path) -> Iterator[StartWriter]:
    """Start a process that appends `count` records of about `size` bytes and prints each acknowledged id."""
    with ExitStack() as writers:

        def start(count: int, size: int) -> Writer:
            script = str(ROOT / "tests" / "registry_writer.py")
            command = [sys.executable, script, str(path), str(count), str(size)]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            writer = writers.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, env=environment))
            writers.callback(writer.kill)
            return writer

        yield start


def acknowledged_by(writers: list[Writer]) -> list[str]:
    return [line.decode() for writer in writers for line in writer.communicate()[0].splitlines()]


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def test_64_processes_appending_at_once_lose_and_tear_nothing(path: Path, start_writer: StartWriter) -> None:
    writers = [start_writer(200, 20) for _ in range(64)]
    ids = acknowledged_by(writers)
    assert [writer.returncode for writer in writers] == [0] * 64
    assert sorted(each["id"] for each in json.loads(path.read_bytes())) == sorted(ids)
    assert len(set(ids)) == 64 * 200
    assert len(lines_of(path)) == 64 * 200 + 2


def test_what_was_acknowledged_outlives_writers_killed_at_any_moment(path: Path, start_writer: StartWriter) -> None:
    doomed = [start_writer(1_000_000, size) for size in (10, 1_000, 10_000, 40_000) * 3]
    lucky = [start_writer(100, 100) for _ in range(12)]
    ids = []
    for writer in doomed:
        assert writer.stdout
        ids += [writer.stdout.readline().decode().strip() for _ in range(random.randrange(1, 20))]
        writer.kill()
    ids += acknowledged_by(doomed) + acknowledged_by(lucky)
    last = Record(event=Event.NOTE)
    FileRegistry(path).append(last)
    found = {each["id"] for each in json.loads(path.read_bytes())}
    assert {*ids, last.id} <= found
    assert found == {record.id for record in FileRegistry(path).records()}
    assert len(found) == len(lines_of(path)) - 2
