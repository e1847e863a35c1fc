"""Launch an experiment on a fresh machine, with its data mounted, wherever capacity can be found."""

from __future__ import annotations

from typing import Annotated

import typer

from scripts.core.console import Console, run
from scripts.core.errors import LabError
from scripts.core.options import AsJson, Count, ExperimentName, script

app = script(__doc__)
MinCount = Annotated[
    int, typer.Option("--min-count", envvar="MIN_COUNT", min=0, max=1000, help="How few will do; COUNT if left out.")
]


@app.command()
def launch(exp: ExperimentName = "", count: Count = 1, min_count: MinCount = 0, as_json: AsJson = False) -> None:
    """Launch EXP (experiments/EXP.toml) on a fresh machine, or on COUNT of them.

    Asks pool after pool (region, type, market) until all run, in rounds for as long as the experiment's retry_for.
    Exit 1 if they are not to be had, or if EXP already lives. Whatever was made is taken down again when the launch
    fails or is interrupted; one that was cut off (a kill, a power cut) is gone on with by the next.
    """
    from scripts.core.launch_report import LaunchReport
    from scripts.core.launching import Launch
    from scripts.core.session import acting_on
    from scripts.core.set_up import set_up
    from scripts.core.volume_ends import mark_volumes

    if min_count > count:
        raise LabError(f"MIN_COUNT: {min_count} is more than COUNT, which is {count}")
    with acting_on(exp, "launch") as session:
        report = LaunchReport(Console(as_json=as_json), exp)
        experiment = session.experiment_file(exp)
        report.begins(session, experiment, count)
        machines = Launch(session, exp, experiment, report, count, min_count or count).run()
        report.lives(session, machines)
        mark_volumes(session, machines)
        report.reached(session, set_up(session, exp, experiment, machines, report.sets_up))


if __name__ == "__main__":
    run(app)
