"""docs/benchmarks.md: what was found, in tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.result import Goal, Result, Row, Table

INTRODUCTION = """\
# Benchmarks

Measured by `make bench` on the local cloud, which responds at once or after a set latency; `make bench ONLY="launch
sweep"` measures some parts again. The rows of a table take turns, after a round that is not counted, so that a slow
moment of the computer affects all of them. Times are of whole processes, start-up included.

![What ec2-lab, the AWS CLI by hand and bare boto3 take](benchmarks.svg)
"""
NUMBER, TEXT = "---:", "---"


def page(parts: Sequence[tuple[str, str, Result]]) -> str:
    """Return the document, from each part's title, what is said of it, and its result."""
    goals = [goal for _, _, result in parts for goal in result.goals]
    sections = [section(*part) for part in parts]
    return "\n".join([INTRODUCTION, *(["## Goals\n", goals_table(goals)] if goals else []), *sections])


def section(title: str, said: str, result: Result) -> str:
    """Return one part's section."""
    when = f"{result.date}; {result.instance}; medians of {result.runs}."
    return "\n".join([f"## {title}\n", f"{said.strip()}\n", f"{when}\n", *map(table, result.tables)])


def goals_table(goals: Sequence[Goal]) -> str:
    """Return what was to be reached, and what was."""
    rows = [
        (
            goal.what,
            number(goal.found, goal.unit),
            number(goal.limit, goal.unit),
            "yes" if goal.is_reached else "**no**",
        )
        for goal in goals
    ]
    return markdown({"": TEXT, "measured": NUMBER, "limit": NUMBER, "met": TEXT}, rows)


def table(found: Table) -> str:
    """Return one table, under its title."""
    columns = {"": TEXT, "median": NUMBER, "min": NUMBER, "max": NUMBER}
    columns |= {f"relative to {found.against}": NUMBER} if found.against else {}
    columns |= {found.noted: TEXT} if found.noted else {}
    return f"**{found.title}**\n\n" + markdown(columns, [tuple(cells(found, row)) for row in found.rows])


def cells(found: Table, row: Row) -> Iterator[str]:
    """Yield a row's cells."""
    yield row.name
    for value in (row.sample.median, row.sample.least, row.sample.most):
        yield number(value, found.unit)
    if found.against:
        yield f"{row.sample.over(found[found.against]):.2f} x"
    if found.noted:
        yield row.note


def number(value: float, unit: str) -> str:
    """Return a number with as many digits as mean something."""
    digits = 0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2  # noqa: PLR2004
    return f"{value:.{digits}f} {unit}".rstrip()


def markdown(columns: Mapping[str, str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of Markdown, from the columns' headings and how they are aligned."""
    lines = [columns.keys(), columns.values(), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
