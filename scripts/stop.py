"""Stop an experiment's instances. You still pay for their volumes."""

from __future__ import annotations

from typing import Any

from ec2lab.console import Console, run
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
    from ec2lab.events.lab import DataLossWarning, InstancesStopped
    from ec2lab.instances.stop_start import Stopping
    from ec2lab.session import locked_session

    console = Console(as_json=as_json)

    def waiting(instance: Any) -> None:
        console.progress(f"  {instance['InstanceId']} is {state_of(instance)}")

    with locked_session(exp, "stop") as session:
        console.hint(session.cloud.banner)
        stopping = Stopping(session, exp)
        instances = stopping.instances()
        losses = stopping.losses(instances)
        for line in losses:
            console.emit(DataLossWarning(experiment=exp, message=line))
        if losses and not yes:
            console.hint(f"{exp}: nothing was stopped; save what you need, then run again with YES=1")
            return
        stopping.run(instances, waiting)
        ids = [instance["InstanceId"] for instance in instances]
        console.emit(InstancesStopped(experiment=exp, instances=ids, volume_cost=hourly_cost_text(session, exp)))
        console.hint(f"  next    make start EXP={exp}    make teardown EXP={exp}")


if __name__ == "__main__":
    run(app)
