"""Time comes from one place: what is replaced there is replaced for all."""

import ast
import re
from pathlib import Path

import pytest

from ec2lab import clock
from local_cloud import clock as cloud_clock

TESTS = Path(__file__).parent
ROOT = TESTS.parent
CLOCKS = {Path(clock.__file__), Path(cloud_clock.__file__)}
OF_INSTANCES = {
    ROOT.joinpath(*name.split(".")).with_suffix(".py")
    for program in (ROOT / "templates").glob("*.py")
    for name in re.findall(r"^from (ec2lab\.[\w.]+) import", program.read_text(), re.MULTILINE)
}
"""What programs of instances are sent with: an instance has a clock of its own."""
FILES = sorted(
    {path for room in ("scripts", "ec2lab", "local_cloud") for path in (ROOT / room).rglob("*.py")}
    - CLOCKS
    - OF_INSTANCES
)
OF_DATETIME = {"now", "utcnow", "today"}


def own_times(source):
    """Where a file has the time from elsewhere."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names) if any(name.name == "time" for name in names):
                yield f"line {node.lineno}: imports time"
            case ast.ImportFrom(module="time" | "ec2lab.clock"):
                yield f"line {node.lineno}: imports from {node.module}"
            case ast.ImportFrom(names=names) if any(name.name == "utcnow" for name in names):  # moto's
                yield f"line {node.lineno}: imports utcnow"
            case ast.Attribute(value=ast.Name(id="datetime" | "date"), attr=name) if name in OF_DATETIME:
                yield f"line {node.lineno}: {ast.unparse(node)}"


def test_time_is_asked_of_the_clock_alone():
    found = {str(path.relative_to(ROOT)): list(own_times(path.read_text())) for path in FILES}
    assert {path: where for path, where in found.items() if where} == {}


MAY_SLEEP = {
    "waiting.py": "another process is waited for",
    "cloud_time.py": "a script is to be met on its way, by a test that needs real time for it",
    "test_rollback.py": "until a signal interrupts it",
    "test_sync_outputs.py": "a program that runs beside the test is not to upload before its time",
    "test_outputs_sync.py": "a program that runs beside the test is met on its way",
    "unreliable_network.py": "a request takes its time on the wire",
    "gpu": "a GPU is given work, and idles",
    "vm": "a virtual machine boots",
    "crash": "real processes race",
    "emulators": "an emulator, a process of its own, begins",
    "mutants": "a tried mutant, a process of its own, ends",
}
"""Files and rooms of tests that sleep, and why it must be for real."""


def sleeps(source):
    """Where a file of tests sleeps."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="time"), attr="sleep"), args=[ast.Constant(value=0)]):
                continue  # others are let run
            case ast.Call(func=ast.Attribute(value=ast.Name(id="time"), attr="sleep")):
                yield node.lineno
            case ast.ImportFrom(module="time", names=names) if any(name.name == "sleep" for name in names):
                yield node.lineno


def test_no_test_sleeps_but_those_that_say_why():
    found = [path.relative_to(TESTS) for path in sorted(TESTS.rglob("*.py")) if any(sleeps(path.read_text()))]
    assert {path.parts[0] for path in found} <= MAY_SLEEP.keys()


@pytest.mark.parametrize(
    "source",
    ["import os, time", "from time import sleep", "def f():\n    import time", "datetime.now(UTC)", "date.today",
     "from ec2lab.clock import sleep", "from moto.core.utils import utcnow"],
)  # fmt: skip
def test_any_other_way_is_found(source):
    assert len(list(own_times(source))) == 1
