"""Launch an experiment's last run again: same code, parameters, image and dataset versions."""

from __future__ import annotations

from typing import Annotated

from ec2lab.console import Console, run
from ec2lab.errors import UserError
from ec2lab.options import AsJson, ExperimentName, option, script
from ec2lab.validators import optional_name

app = script(__doc__)
NewName = Annotated[str, option("NEW_EXP", "Its name: foo-again.", callback=optional_name("NEW_EXP"))]


@app.command()
def relaunch(exp: ExperimentName = "", new: NewName = "", as_json: AsJson = False) -> None:
    """Launch the last run of EXP again under the name NEW_EXP: same region, same number of instances.

    Everything comes from the registry's record of that run; experiments/EXP.toml is not read.

    Exit status: 1 if something is no longer available: a dataset version, an image, or a working tree that was not
    stored.
    """
    from ec2lab.launch.launcher import launch_experiment
    from ec2lab.launch.reproduce import reproduce_last_run
    from ec2lab.session import locked_session
    from ec2lab.watch.notification_destinations import notifying

    if not new:
        raise UserError(f"NEW_EXP: which name for the new run? (NEW_EXP={exp}-again)")
    with locked_session(new, "rerun") as session:
        defined, count = reproduce_last_run(session, exp, new)
        with notifying(session, Console(as_json=as_json).emit) as emit:
            launch_experiment(session, new, defined.experiment, emit, count, count, defined)


if __name__ == "__main__":
    run(app)
