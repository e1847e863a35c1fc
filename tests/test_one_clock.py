"""Time comes from one place: what is replaced there is replaced for all."""

import ast
from pathlib import Path

import pytest

import scripts
from scripts.core import clock
from scripts.local_cloud import clock as cloud_clock

ROOT = Path(scripts.__file__).parent
CLOCKS = {Path(clock.__file__), Path(cloud_clock.__file__)}
FILES = sorted(set(ROOT.rglob("*.py")) - CLOCKS)
OF_DATETIME = {"now", "utcnow", "today"}


def own_times(source):
    """Where a file has the time from elsewhere."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names) if any(name.name == "time" for name in names):
                yield f"line {node.lineno}: imports time"
            case ast.ImportFrom(module="time" | "scripts.core.clock" | "moto.core.utils"):
                yield f"line {node.lineno}: imports from {node.module}"
            case ast.Attribute(value=ast.Name(id="datetime" | "date"), attr=name) if name in OF_DATETIME:
                yield f"line {node.lineno}: {ast.unparse(node)}"


def test_time_is_asked_of_the_clock_alone():
    found = {str(path.relative_to(ROOT)): list(own_times(path.read_text())) for path in FILES}
    assert {path: where for path, where in found.items() if where} == {}


@pytest.mark.parametrize(
    "source",
    ["import os, time", "from time import sleep", "def f():\n    import time", "datetime.now(UTC)", "date.today",
     "from scripts.core.clock import sleep"],
)  # fmt: skip
def test_any_other_way_is_found(source):
    assert len(list(own_times(source))) == 1
