"""Which events a make target may print: checked on every line that a test sees, and read from the code."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path

from ec2lab.events import Event
from ec2lab.events.schema import EVENTS

REPOSITORY = Path(__file__).parents[1]
ROOMS = ("scripts", "ec2lab", "local_cloud", "bench")
TARGETS = dict(
    re.findall(
        r"^([a-z][a-z-]*):.*\n\t\$\(RUN\) ((?:scripts\.\w+|local_cloud|bench)(?: \w+)?)$",
        (REPOSITORY / "Makefile").read_text(),
        re.MULTILINE,
    )
)
"""By make target, the module that it runs, and that one's command where it has several."""


def check_line(target: str, line: str) -> None:
    """Fail if a line that a script printed with JSON=1 is not one of its events, complete and with nothing else."""
    fields = json.loads(line)
    event = EVENTS[fields.pop("event")]
    assert target in event.commands, f"{target} printed {event.event}, which is not declared for it"
    assert fields.keys() >= event.model_fields.keys(), f"{event.event} lacks fields"
    event.model_validate(fields)


def check_output(target: str, out: str) -> None:
    """Fail if anything that a script printed with JSON=1 is not one of its events."""
    for line in out.splitlines():
        check_line(target, line)


@cache
def _imports(module: str) -> list[ast.ImportFrom]:
    """Return what a module imports, at its top or later."""
    tree = ast.parse((REPOSITORY / module).read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]


@cache
def reach_of(target: str) -> frozenset[str]:
    """Return the modules that a make target's script imports, those that others of them import, and so on."""
    reached, ahead = set(), {_file_of(TARGETS[target].partition(" ")[0])}
    while ahead:
        module = ahead.pop()
        reached.add(module)
        ahead |= {file for node in _imports(module) if (file := _file_of(node.module or ""))} - reached
    return frozenset(reached)


@cache
def _file_of(name: str) -> str | None:
    place = name.replace(".", "/")
    return next((p for p in (f"{place}.py", f"{place}/__main__.py") if (REPOSITORY / p).exists()), None)


@cache
def _importers() -> dict[str, set[str]]:
    """Return by (module of an event's class).(class) which modules import it."""
    found: dict[str, set[str]] = {}
    for path in (path for room in ROOMS for path in (REPOSITORY / room).rglob("*.py")):
        module = str(path.relative_to(REPOSITORY))
        for node in _imports(module):
            for name in node.names:
                found.setdefault(f"{node.module}.{name.name}", set()).add(module)
    found.setdefault("ec2lab.events.Step", set()).update(found.get("ec2lab.events.steps", ()))
    return found


def reporters(event: type[Event]) -> set[str]:
    """Return the modules that import an event's class: what reports it."""
    return _importers().get(f"{event.__module__}.{event.__name__}", set())
