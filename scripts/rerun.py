"""Launch an experiment again as it was: its code, its parameters, its image, its data's version."""

from __future__ import annotations

from typing import Annotated

import typer

from ec2lab.console import Console, run
from ec2lab.errors import LabError
from ec2lab.options import AsJson, ExperimentName, script

app = script(__doc__)
NewName = Annotated[str, typer.Option("--new-exp", envvar="NEW_EXP", help="What the new one is called: foo-again.")]


@app.command()
def relaunch(exp: ExperimentName = "", new: NewName = "", as_json: AsJson = False) -> None:
    """Launch the last run of EXP again, under the name AS: on as many machines, in the region that it ran in.

    All of it is from the record, whatever experiments/EXP.toml says by now. Exit 1 where something of it is not to
    be had any more: a version of a dataset, an image, a working tree that nobody kept.
    """
    from ec2lab.launch.launcher import launch_experiment
    from ec2lab.launch.report import LaunchConsole
    from ec2lab.launch.reproduce import reproduce_last_run
    from ec2lab.session import acting_on
    from ec2lab.validators import experiment_name

    if not new:
        raise LabError(f"NEW_EXP: what shall it be called? (NEW_EXP={exp}-again)")
    with acting_on(experiment_name(new), "rerun") as session:
        defined, count = reproduce_last_run(session, exp, new)
        report = LaunchConsole(Console(as_json=as_json), new)
        launch_experiment(session, new, defined.experiment, report, count, count, defined)


if __name__ == "__main__":
    run(app)
