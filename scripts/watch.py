"""Follow a live experiment, and relaunch instances that AWS interrupts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ec2lab.console import Console, run
from ec2lab.options import AsJson, ExperimentName, script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ec2lab.session import Session
    from ec2lab.watch.console import WatchConsole

app = script(__doc__)


@app.command()
def watch(exp: ExperimentName = "", as_json: AsJson = False) -> None:
    """Print each change of EXP's instances until none is left: states, API errors, spot notices, command exits.

    Interrupted instances are relaunched if the experiment has on_interruption = "relaunch". Plugins can send the
    events elsewhere (docs/plugins.md). Ctrl-C stops only the watching.
    """
    from functools import partial

    from ec2lab.hosts.inventory import absent
    from ec2lab.session import open_session
    from ec2lab.watch.console import WatchConsole
    from ec2lab.watch.notification_destinations import all_notifiers
    from ec2lab.watch.watcher import Watching

    console = Console(as_json=as_json)
    with open_session("watch", exp) as session:
        session.records.expect_here(exp)
        if not session.records.state(exp).live and not session.registry.lock_owner(exp):
            raise absent(session, exp, "no live instance")
        console.hint(session.cloud.banner)
        report = WatchConsole(console, exp, all_notifiers(session))
        warn_of_missing_secrets(session, exp, report)
        watching = Watching(session, exp, lambda: report.stands(watching))
        try:
            for happening in watching.events(partial(relaunch, session, exp, report)):
                report.emit(happening)
        finally:
            report.notices.close()


def warn_of_missing_secrets(session: Session, exp: str, report: WatchConsole) -> None:
    """Warn now, and not at the interruption, if a relaunch would lack secrets of this command's environment."""
    from ec2lab.errors import UserError
    from ec2lab.launch.run_spec import definition
    from ec2lab.runs.launcher_secrets import launcher_secrets

    try:
        experiment = definition(session, exp).experiment
    except UserError:  # a relaunch reads the file again, which may be fixed by then
        return
    try:
        if experiment.on_interruption == "relaunch":
            launcher_secrets(exp, experiment)
    except UserError as problem:
        report.warn(f"an interrupted instance could not be relaunched: {problem}")


def relaunch(session: Session, exp: str, report: WatchConsole, taken: Sequence[str]) -> bool:
    """Launch an experiment again under its lock, with its parameters, if its file (read again now) says so."""
    from ec2lab.errors import UserError
    from ec2lab.launch.launcher import launch_experiment
    from ec2lab.launch.run_spec import definition
    from ec2lab.launch.wait_for_boot import NotReached

    try:
        defined = definition(session, exp, again=True)
        if defined.experiment.on_interruption != "relaunch":
            return False
        with session.registry.lock_experiment(exp, "watch"):
            launch_experiment(
                session, exp, defined.experiment, report.emit_of_launch, len(taken), defined=defined, taken=taken
            )
    except NotReached as problem:
        report.warn(f"relaunched: {problem}")
    except UserError as problem:
        report.warn(f"{exp}: could not be relaunched: {problem}")
        return False
    return True


if __name__ == "__main__":
    run(app, follows=True)
