"""Which events the scripts can say, and with which fields: read from the code, without running it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

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


@dataclass(frozen=True)
class Said:
    """A place in the code that says an event."""

    module: str
    line: int
    event: str
    fields: frozenset[str]
    whole: bool
    """Whether these are all its fields, and no ** brings more."""

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.event}"


OF_THE_REPORT = "ec2lab/report/events.py"
NAMED_ELSEWHERE = {
    ("scripts/report.py", "event"): {},  # each is yielded by ec2lab/report/events.py, and read there
}
"""Where the name of an event is no literal: which names it can have, and what each one brings."""


@cache
def everything_said() -> list[Said]:
    """Return every place that says an event."""
    return [said for module in _modules() for said in _said_in(module)]


def _modules() -> list[str]:
    found = (path for room in ROOMS for path in (REPOSITORY / room).rglob("*.py"))
    return sorted(str(path.relative_to(REPOSITORY)) for path in found)


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse((REPOSITORY / module).read_text())


def _said_in(module: str) -> Iterator[Said]:
    for node in ast.walk(_tree(module)):
        match node:
            case ast.Call(func=ast.Attribute(attr="say"), args=[_, named]):
                yield from _of_call(module, node, named)
            case ast.Yield(value=ast.Tuple(elts=[ast.Constant(value=str(event)), told])) if module == OF_THE_REPORT:
                names, whole = _keys(told)
                yield Said(module, node.lineno, event, names, whole)


def _of_call(module: str, call: ast.Call, named: ast.expr) -> Iterator[Said]:
    given = frozenset(keyword.arg for keyword in call.keywords if keyword.arg) - {"style"}
    whole = all(keyword.arg for keyword in call.keywords)
    match named:
        case ast.Constant(value=str(event)):
            yield Said(module, call.lineno, event, given, whole)
        case ast.IfExp(body=ast.Constant(value=str(one)), orelse=ast.Constant(value=str(other))):
            yield from (Said(module, call.lineno, event, given, whole) for event in (one, other))
        case _:
            key = (module, ast.unparse(named))
            assert key in NAMED_ELSEWHERE, f"{module}:{call.lineno}: which events can {key[1]} be?"
            for event, brought in NAMED_ELSEWHERE[key].items():
                yield Said(module, call.lineno, event, given | brought, whole=True)


def _keys(told: ast.expr) -> tuple[frozenset[str], bool]:
    if not isinstance(told, ast.Dict):
        return frozenset(), False
    return frozenset(key.value for key in told.keys if isinstance(key, ast.Constant)), None not in told.keys


@cache
def reach_of(target: str) -> frozenset[str]:
    """Return the modules that a make target's script imports, those that others of them import, and so on."""
    name = TARGETS[target].partition(" ")[0]
    reached, ahead = set(), {_file_of(name)}
    while ahead:
        module = ahead.pop()
        reached.add(module)
        ahead |= {file for file in map(_file_of, _imports(module)) if file} - reached
    return frozenset(reached)


def _file_of(name: str) -> str | None:
    place = name.replace(".", "/")
    return next((p for p in (f"{place}.py", f"{place}/__main__.py") if (REPOSITORY / p).exists()), None)


def _imports(module: str) -> set[str]:
    """Return what a module imports, at its top or later."""
    return {node.module for node in ast.walk(_tree(module)) if isinstance(node, ast.ImportFrom) and node.module}


@cache
def _named_events() -> dict[str, set[str]]:
    """Return by (module of its class, class) which modules import an event."""
    found: dict[str, set[str]] = {}
    for module in _modules():
        for node in ast.walk(_tree(module)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ec2lab.events"):
                for name in node.names:
                    found.setdefault(f"{node.module}.{name.name}", set()).add(module)
    return found


def reporters(event: type) -> set[str]:
    """Return the modules that import an event's class: what reports it."""
    return _named_events().get(f"{event.__module__}.{event.__name__}", set()) - {"ec2lab/rendering.py"}
