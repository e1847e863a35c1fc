"""Stop an experiment's instances. You still pay for their volumes."""

from __future__ import annotations

from typing import Any

from ec2lab.console import Console, run
from ec2lab.errors import LabError
from ec2lab.instance_state import state_of
from ec2lab.options import AsJson, Confirm, ExperimentName, script

app = script(__doc__)


@app.command()
def stop(exp: ExperimentName = "", yes: Confirm = False, as_json: AsJson = False) -> None:
    """Stop EXP's instances. `make start` starts them again, with new addresses, if there is capacity.

    If an instance has data on its own disks (instance store), stopping erases it and requires YES=1. Spot instances
    cannot be stopped.
    """
    from ec2lab.costs.current_costs import hourly_cost_text
    from ec2lab.instances.stop import Stopping
    from ec2lab.session import acting_on

    console = Console(as_json=as_json)

    def waiting(machine: Any) -> None:
        console.progress(f"  {machine['InstanceId']} is {state_of(machine)}")

    with acting_on(exp, "stop") as session:
        console.hint(session.cloud.banner)
        stopping = Stopping(session, exp)
        machines = stopping.machines()
        losses = stopping.losses(machines)
        for line in losses:
            console.say(f"  {line}", "loses", style="yellow", loses=line)
        if losses and not yes:
            raise LabError(f"{exp}: runs on; save what is to be kept, then YES=1 stops it")
        stopping.run(machines, waiting)
        ids = [machine["InstanceId"] for machine in machines]
        done = f"{', '.join(ids)} stopped" if ids else "was stopped already"
        costs = f"its volumes stay, and cost {hourly_cost_text(session, exp)} dollars an hour"
        console.say(f"{exp}: {done}; {costs}", "stopped", style="green", experiment=exp, ids=ids)
        console.hint(f"  next    make start EXP={exp}    make teardown EXP={exp}")


if __name__ == "__main__":
    run(app)
