"""Show the changes made for an experiment, from the registry and its archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ec2lab.console import Console, run
from ec2lab.errors import UserError
from ec2lab.options import AsJson, ExperimentName, Wide, script

if TYPE_CHECKING:
    from ec2lab.registry.record import Record

app = script(__doc__)


@app.command()
def history(exp: ExperimentName = "", wide: Wide = False, as_json: AsJson = False) -> None:
    """Show every call that changed something and every decision, oldest first; JSON=1 prints the full records."""
    from ec2lab.events.lab import HistoryRecord
    from ec2lab.registry.history import visible_records
    from ec2lab.session import open_session
    from ec2lab.tables import HISTORY

    console = Console(as_json=as_json, wide=wide)
    with open_session("history") as session:
        everything = session.registry.history(exp)
        records = [record for record in everything if record.experiment == exp]
        if not records:
            session.expect_known(exp)
            known = sorted({record.experiment for record in session.registry.history() if record.experiment})
            of_a_sweep = next((f" (but of {name})" for name in known if name.startswith(f"{exp}-")), "")
            raise UserError(f"{exp}: nothing is recorded{of_a_sweep}")
        console.emit(*(HistoryRecord(record=record.as_json()) for record in records))
        accounts = {record.account for record in records if record.operation}
        rows = [
            [*_row(record), str(record.whose or "?") if len(accounts) > 1 else ""]
            for record in visible_records(records)
        ]
        console.table(HISTORY, rows)
        if not rows:
            console.hint(f"{exp}: nothing was changed")


def _row(record: Record) -> list[str]:
    from ec2lab.registry.history import event_text, outcome

    when = record.time[:19].replace("T", " ")
    return [when, record.by, record.script or "", event_text(record), record.region or "", outcome(record)]


if __name__ == "__main__":
    run(app)
