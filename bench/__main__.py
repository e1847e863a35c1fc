"""make bench: measure all parts, or those that ONLY names, and write docs/benchmarks.md and docs/benchmarks.svg.

Each part's result is stored in .cache/bench/ as soon as it is measured, and the page is written again. After an
interrupt, ONLY="…" measures the missing parts.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

from bench.page import page
from bench.picture import picture
from bench.result import Result, keep, kept
from ec2lab.console import Console, run
from ec2lab.errors import UserError
from ec2lab.events.lab import Measured
from ec2lab.options import AsJson, option, script

PARTS = (
    "launch", "start_up", "registry_size", "registry_history", "sweep", "snapshot_copy", "capacity_search",
)  # fmt: skip
PICTURED = ("launch",)
DOCUMENTS = Path(__file__).parents[1] / "docs"
app = script(__doc__)
Only = Annotated[str, option("ONLY", f"Parts, separated by spaces: {', '.join(PARTS)}.")]
Runs = Annotated[int, option("RUNS", "Number of measurements.", min=1)]


@app.command()
def bench(only: Only = "", runs: Runs = 7, as_json: AsJson = False) -> None:
    """Measure ec2-lab beside the AWS CLI and plain boto3. Nothing passes or fails."""
    console = Console(as_json=as_json)
    for part in chosen(only):
        console.hint(f"measuring {part}, {runs} times …")
        result: Result = importlib.import_module(f"bench.{part}").measure(runs)
        keep(part, result)
        write()
        for table in result.tables:
            for row in table.rows:
                median, least, most = (round(v, 4) for v in (row.sample.median, row.sample.least, row.sample.most))
                console.emit(
                    Measured(
                        part=part, table=table.title, name=row.name, unit=table.unit, median=median, least=least,
                        most=most,
                    )
                )  # fmt: skip
    console.hint("written: docs/benchmarks.md, docs/benchmarks.svg")


def chosen(only: str) -> list[str]:
    """Return the parts that are to be measured. Raises UserError."""
    names = [name.replace("-", "_") for name in only.split()] or list(PARTS)
    if strangers := sorted(set(names) - set(PARTS)):
        raise UserError(f"ONLY: {strangers[0]!r} is no part of the bench (it has {', '.join(PARTS)})")
    return names


def write(directory: Path = DOCUMENTS) -> None:
    """Write page and picture from all that is kept."""
    found = [(name, result) for name in PARTS if (result := kept(name))]
    modules = {name: importlib.import_module(f"bench.{name}") for name, _ in found}
    parts = [(modules[name].TITLE, modules[name].SAID, result) for name, result in found]
    (directory / "benchmarks.md").write_text(page(parts))
    tables = [table for name, result in found if name in PICTURED for table in result.tables]
    (directory / "benchmarks.svg").write_text(picture(tables))


if __name__ == "__main__":
    run(app)
