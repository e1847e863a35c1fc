"""How long each script takes to answer --help, and to be imported, beside bare Python."""

from __future__ import annotations

import os
import re
import sys
from functools import partial
from pathlib import Path

from bench.result import Goal, Result, Row, Table
from bench.sample import Sample
from bench.turns import in_turns, seconds_of

TITLE = "Start-up of every script"
SAID = """
`--help` as a whole process, and the import of the script alone, beside `python -c pass`. A script imports what it
needs beyond its options (boto3, pydantic, rich, jinja2) when it runs.
"""
REPOSITORY = Path(__file__).parents[1]
BARE = "python -c pass"
MORE_AT_MOST = 120.0
"""Milliseconds."""


def scripts() -> dict[str, str]:
    """Return the modules that make runs, by their last names: none that is added is left out."""
    found = re.findall(r"\$\(RUN\) (scripts\.\w+|local_cloud)", (REPOSITORY / "Makefile").read_text())
    return {module.removeprefix("scripts."): module for module in sorted(found)}


def measure(runs: int) -> Result:
    """Time all scripts in turns."""
    helps = {BARE: ["-c", "pass"], **{name: ["-m", module, "--help"] for name, module in scripts().items()}}
    imports = {BARE: ["-c", "pass"], **{name: ["-c", f"import {module}"] for name, module in scripts().items()}}
    tables = [table("--help", helps, runs), table("import", imports, runs)]
    slowest = tables[0].rows[-1]
    more = slowest.sample.median - tables[0][BARE].median
    goal = Goal(f"--help of {slowest.name} beyond {BARE}", more, MORE_AT_MOST, "ms")
    return Result(tables, [goal], runs)


def table(title: str, commands: dict[str, list[str]], runs: int) -> Table:
    """Time commands of Python, in milliseconds."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}

    def milliseconds(arguments: list[str]) -> float:
        return seconds_of([sys.executable, *arguments], REPOSITORY, environment) * 1000

    found = in_turns({name: partial(milliseconds, arguments) for name, arguments in commands.items()}, runs)
    bare, *others = [Row(name, Sample(values)) for name, values in found.items()]
    others.sort(key=lambda row: row.sample.median)
    chosen = {"fastest": others[0], "median": others[len(others) // 2], "slowest": others[-1]}
    rows = [Row(f"the {rank} script ({row.name})", row.sample) for rank, row in chosen.items()]
    return Table(title, "ms", [bare, *rows], against=BARE)
