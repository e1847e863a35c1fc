"""Start an experiment's stopped instances."""

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
    """Start EXP's stopped instances; if there is insufficient capacity, retry until EXP's capacity_timeout.

    An instance can only start in the zone of its volumes. It gets a new address, which is written to the ssh
    configuration. If its ttl expired while it was stopped, the ttl starts again.

    Exit status: 1 if an instance could not be started (it stays stopped), or did not accept a login within
    ssh.boot_timeout (lab.toml).
    """
    from ec2lab.events.launch import SshReady
    from ec2lab.instances.status import running_event
    from ec2lab.instances.stop_start import InstanceStarter
    from ec2lab.instances.ttl import tag_new_expiry
    from ec2lab.launch.wait_for_boot import wait_for_logins
    from ec2lab.session import locked_session

    console = Console(as_json=as_json)
    with locked_session(exp, "start") as session:
        console.hint(session.cloud.banner)
        instances = InstanceStarter(session, exp, capacity_timeout(session, exp), console.emit).run()
        console.emit(*(running_event(session.resource_types, exp, instance) for instance in instances))
        tag_new_expiry(session, exp, instances, console.emit)
        done = wait_for_logins(session, exp, instances, console.emit)
        console.emit(*(SshReady(experiment=exp, host=one.name, address=one.address) for one in done.reaches))
        console.hint(f"  next    make ssh EXP={exp}    make stop EXP={exp}")
        done.expect_seen(exp)


def capacity_timeout(session: Session, exp: str) -> timedelta:
    from ec2lab.config.lab_files import has_file, load_experiment
    from ec2lab.launch.run_spec import last_recorded_run
    from ec2lab.units import duration

    if has_file(session.directory, exp):
        return load_experiment(session.directory, exp).capacity_timeout
    # What an earlier version of the lab recorded may be no experiment for this one; its capacity_timeout is.
    recorded = last_recorded_run(session, exp) or {"experiment": {}}
    return duration(recorded["experiment"].get("capacity_timeout", "0s"))


if __name__ == "__main__":
    run(app)
