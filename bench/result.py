"""What a part of the bench found: tables and goals, kept in a file so that parts can be measured one by one."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore

from bench.sample import Sample

KEPT = Path(__file__).parents[1] / ".cache" / "bench"


@dataclass(frozen=True)
class Row:
    """One contender."""

    name: str
    sample: Sample
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Contenders that took turns."""

    title: str
    unit: str
    rows: Sequence[Row]
    against: str = ""
    """The contender that the others are shown as multiples of; none where that says nothing."""
    noted: str = ""
    """The heading of the rows' notes."""

    def __getitem__(self, name: str) -> Sample:
        return next(row.sample for row in self.rows if row.name == name)


@dataclass(frozen=True)
class Goal:
    """A number that is to be no larger than another."""

    what: str
    found: float
    limit: float
    unit: str = "x"

    @property
    def is_reached(self) -> bool:
        """Whether it is."""
        return self.found <= self.limit


def this_instance() -> str:
    """Return what the figures depend on, in words."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    python, system = platform.python_version(), f"{platform.system()} {platform.machine()}"
    return f"{cores} cores, {system}, Python {python}, botocore {botocore.__version__}"


@dataclass(frozen=True)
class Result:
    """What one part found, when and where."""

    tables: Sequence[Table]
    goals: Sequence[Goal] = ()
    runs: int = 0
    instance: str = field(default_factory=this_instance)
    date: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))


def keep(part: str, result: Result, directory: Path = KEPT) -> None:
    """Leave a part's result for the page."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{part}.json").write_text(json.dumps(asdict(result)))


def kept(part: str, directory: Path = KEPT) -> Result | None:
    """Return what a part found when it was measured last; None where it never was."""
    path = directory / f"{part}.json"
    return _result(json.loads(path.read_text())) if path.exists() else None


def _result(found: Mapping[str, Any]) -> Result:
    tables = [_table(table) for table in found["tables"]]
    return Result(**{**found, "tables": tables, "goals": [Goal(**goal) for goal in found["goals"]]})


def _table(found: Mapping[str, Any]) -> Table:
    rows = [Row(row["name"], Sample(row["sample"]["values"]), row["note"]) for row in found["rows"]]
    return Table(**{**found, "rows": rows})
