"""Start an experiment's stopped machines again."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ec2lab.console import Console, run
from ec2lab.options import AsJson, ExperimentName, script

if TYPE_CHECKING:
    from ec2lab.session import Session

app = script(__doc__)


@app.command()
def start(exp: ExperimentName = "", as_json: AsJson = False) -> None:
    """Start EXP's stopped machines, asking for capacity for as long as the experiment's retry_for.

    Their volumes keep them in their zone. Each gets another address, which the ssh configuration then has. Where a
    machine's ttl passed while it was stopped, it begins anew. One that a start did not get stays stopped, with exit 1;
    so does it end where one lets nobody in within ssh.wait (lab.toml).
    """
    from ec2lab.instances.start import StartingAgain, StartReport
    from ec2lab.instances.ttl import write_down_new_ends
    from ec2lab.launch.wait_for_boot import wait_for_logins
    from ec2lab.session import acting_on

    console = Console(as_json=as_json)
    with acting_on(exp, "start") as session:
        console.hint(session.cloud.banner)
        report = StartReport(console, exp)
        machines = StartingAgain(session, exp, patience_for(session, exp), report).run()
        report.runs(machines)
        for machine, ends in write_down_new_ends(session, machines, report.says):
            report.ends(machine, ends)
        done = wait_for_logins(session, exp, machines, report.says)
        report.reached(done.reaches)
        done.expect_seen(exp)


def patience_for(session: Session, exp: str) -> timedelta:
    """Return how long the experiment would have capacity asked for; not at all where its file is gone."""
    from ec2lab.config.fields import duration
    from ec2lab.config.lab_files import has_file, load_experiment
    from ec2lab.launch.run_spec import recorded_run

    if has_file(session.directory, exp):
        return load_experiment(session.directory, exp).retry_for
    # What an earlier version of the lab recorded may be no experiment for this one; its retry_for is.
    recorded = recorded_run(session, exp) or {"experiment": {}}
    length: timedelta = duration(recorded["experiment"].get("retry_for", "0s"))
    return length


if __name__ == "__main__":
    run(app)
