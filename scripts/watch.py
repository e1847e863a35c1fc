"""Follow a living experiment, and put it back where AWS takes its machine away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from scripts.core.console import Console, run
from scripts.core.options import AsJson, ExperimentName, script

if TYPE_CHECKING:
    from scripts.core.kind import Resource
    from scripts.core.session import Session

app = script(__doc__)
FIRST_POLL, LONGEST_POLL = 1.0, 15.0
"""Seconds between looks. Two minutes are what AWS gives a spot machine, so 15 s lose little."""


@app.command()
def watch(exp: ExperimentName = "", as_json: AsJson = False) -> None:
    """Tell each change of EXP's machines until none is left.

    A machine that AWS took away (a spot interruption, say) is launched again if the experiment says relaunch = true.
    """
    from scripts.core.definition import definition
    from scripts.core.errors import LabError
    from scripts.core.session import open_session

    console = Console(as_json=as_json)
    with open_session("watch", exp) as session:
        experiment = definition(session, exp).experiment
        if not session.holdings(exp).living:
            raise LabError(f"{exp}: nothing lives; `make launch EXP={exp}` launches it")
        console.hint(session.cloud.banner)
        for machine in changes(session, exp):
            console.say(f"{exp}  {machine.id}  {machine.state}", "state", id=machine.id, state=machine.state)
            if taken_by_aws(machine) and experiment.relaunch:
                relaunch(session, exp, console)
        console.say(f"{exp}: no machine is left", "ended", experiment=exp)


def changes(session: Session, exp: str) -> Iterator[Resource]:
    """Yield each machine of an experiment when its state changes, until none is alive."""
    from scripts.core.standing import standing

    states: dict[str, str] = {}
    poll = FIRST_POLL
    while machines := [r for r in standing(session) if r.experiment == exp and r.kind == "instance"]:
        for machine in machines:
            if states.get(machine.id) != machine.state:
                states[machine.id] = machine.state
                poll = FIRST_POLL
                yield machine
        time.sleep(poll)
        poll = min(LONGEST_POLL, poll * 1.5)


def taken_by_aws(machine: Resource) -> bool:
    """Say whether it was AWS that ended a machine, and not its user: StateReason codes begin with who did it."""
    return machine.state.startswith(("terminated (Server.", "shutting-down (Server."))


def relaunch(session: Session, exp: str, console: Console) -> None:
    """Launch an experiment again, alone on it; the file is read anew, so that it can be mended meanwhile."""
    from scripts.core.definition import definition
    from scripts.core.experiment_launch import launch_experiment
    from scripts.core.launch_report import LaunchReport

    with session.registry.acting_alone(exp, "watch"):
        defined = definition(session, exp)
        launch_experiment(session, exp, defined.experiment, LaunchReport(console, exp), defined=defined)


if __name__ == "__main__":
    run(app)
