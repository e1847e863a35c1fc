"""Stopping an experiment's machines: their volumes stay, nothing runs, and what would be lost is said before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ec2lab.errors import LabError
from ec2lab.hosts.inventory import machines_of, region_of
from ec2lab.instance_state import UP, InstanceState, state_of
from ec2lab.polling import attempts
from ec2lab.session import Session

AT_REST = (InstanceState.STOPPED, InstanceState.TERMINATED)
POLL = 0.5, 10.0
PATIENCE = 20 * 60
"""Seconds until a machine that does not stop is reported. Large ones take minutes."""

Machine = Mapping[str, Any]


@dataclass(frozen=True)
class Stopping:
    """The stopping of one experiment's machines."""

    session: Session
    experiment: str

    def machines(self) -> list[Machine]:
        """Return those that run. Raises LabError where none does, or where AWS can't stop one.

        A one-time spot machine can't be stopped, only ended
        (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/stop-spot-instances.html).
        """
        machines = machines_of(self.session, self.experiment)
        if not machines:
            raise LabError(f"{self.experiment}: no machine of it lives; `make status` shows what does")
        spot = [machine["InstanceId"] for machine in machines if machine.get("InstanceLifecycle") == "spot"]
        if spot:
            raise LabError(
                f"{self.experiment}: {', '.join(spot)} is a spot machine, which AWS can only end: "
                f"`make teardown EXP={self.experiment}`, after saving what is on it"
            )
        return [machine for machine in machines if state_of(machine) in UP]

    def losses(self, machines: Sequence[Machine]) -> list[str]:
        """Return what stopping would lose, a line for each type with disks of its own: their content goes with it
        (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-store-lifetime.html).
        """  # noqa: D205
        types = {(region_of(machine), machine["InstanceType"]) for machine in machines}
        found = []
        for region, instance_type in sorted(types):
            described = self.session.cloud.ec2(region).describe_instance_types(InstanceTypes=[instance_type])
            size = described["InstanceTypes"][0].get("InstanceStorageInfo", {}).get("TotalSizeInGB")
            if size:
                found.append(f"{instance_type}: what is on its own disks ({size} GB of instance store) is lost")
        return found

    def run(self, machines: Sequence[Machine], waiting: Callable[[Machine], None]) -> None:
        """Stop machines and wait until AWS says that they are; run again, it goes on waiting. Raises LabError."""
        for region in sorted({region_of(machine) for machine in machines}):
            ids = [machine["InstanceId"] for machine in machines if region_of(machine) == region]
            self.session.cloud.ec2(region).stop_instances(InstanceIds=ids)
        self.wait(waiting)

    def wait(self, waiting: Callable[[Machine], None]) -> None:
        """Wait until no machine of the experiment is on its way down. Raises LabError where one stays so."""
        for last in attempts(self.session.pause, POLL, PATIENCE):
            moving = [m for m in machines_of(self.session, self.experiment) if state_of(m) not in AT_REST]
            if not moving:
                return
            if last:
                raise LabError(f"{moving[0]['InstanceId']} is still {state_of(moving[0])}; run make stop again")
            waiting(moving[0])
