"""Wait until an experiment's command exits, and exit with its status."""

from __future__ import annotations

import typer

from ec2lab.console import Console, run
from ec2lab.errors import UserError
from ec2lab.options import AsJson, Experiments, script

app = script(__doc__)


@app.command()
def wait(exp: Experiments = "", as_json: AsJson = False) -> None:
    """Wait for the command of EXP on all its instances, or on all that match: EXP='speech-*'.

    The results are recorded, so that `make sweep EXP=speech RETRY_FAILED=1` knows which trials to relaunch.

    Exit status: the command's own; with several instances, the first that is not 0, in the order of their names; 1
    if the status of any is unknown.
    """
    from ec2lab.events.runs import CommandEnded
    from ec2lab.runs.run import wait_for_commands
    from ec2lab.session import open_session

    console = Console(as_json=as_json)
    with open_session("wait") as session:
        codes, problems = [], []
        for waited in wait_for_commands(session, exp, console.progress):
            if waited.problem:
                problems.append(waited.problem)
                continue
            codes.append(waited.exit_code)
            console.emit(CommandEnded(experiment=waited.name, exit_code=waited.exit_code, reason=waited.why))
    if problems:
        raise UserError("; ".join(problems))
    raise typer.Exit(next(filter(None, codes), 0))


if __name__ == "__main__":
    run(app)
