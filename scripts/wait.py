"""Wait until an experiment's command has ended, and end as it did."""

from __future__ import annotations

import typer

from scripts.core.console import Console, run
from scripts.core.options import AsJson, Experiments, script

app = script(__doc__)


@app.command()
def wait(exp: Experiments = "", as_json: AsJson = False) -> None:
    """Wait for the command of EXP on all its machines, or of all that match: EXP='speech-*'.

    Exit with the command's own code; of several with the first that is not 0, in the order of their names. How each
    ended is put on record, so that `make sweep EXP=speech FAILED=1` knows which to launch again.
    """
    from scripts.core.runs.waiting import wait_for_all
    from scripts.core.session import open_session

    console = Console(as_json=as_json)
    with open_session("wait") as session:
        codes = []
        for name, code in wait_for_all(session, exp, console.progress):
            codes.append(code)
            style = "red" if code else "green"
            console.say(f"{name}: ended with {code}", "ended", style=style, experiment=name, exit_code=code)
    raise typer.Exit(next(filter(None, codes), 0))


if __name__ == "__main__":
    run(app)
