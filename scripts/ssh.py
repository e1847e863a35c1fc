"""Log in to an experiment's machine, its host key pinned."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from scripts.core.console import run
from scripts.core.options import HostName, script

app = script(__doc__)
Experiment = Annotated[str, typer.Option("--exp", envvar="EXP", help="The experiment.")]


@app.command()
def ssh(exp: Experiment = "", host: HostName = "") -> None:
    """Log in to the machine of EXP, or to HOST (foo-2, where an experiment has several).

    As the member MEMBER, or as whoever is named like the local user. The agent is not forwarded.
    """
    from scripts.core.hosts import host_of, hosts_named
    from scripts.core.names import experiment_name
    from scripts.core.session import open_session

    with open_session("ssh") as session:
        found = hosts_named(session, host)[0] if host else host_of(session, experiment_name(exp))
    os.execvp("ssh", ["ssh", "-F", str(found.config), "-o", "StrictHostKeyChecking=yes", "--", found.name])


if __name__ == "__main__":
    run(app)
