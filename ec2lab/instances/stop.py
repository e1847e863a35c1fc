"""Stopping an experiment's instances: their volumes stay, nothing runs, and what would be lost is said before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ec2lab.errors import UserError
from ec2lab.hosts.inventory import instances_of, region_of
from ec2lab.instance_state import UP, InstanceState, state_of
from ec2lab.polling import attempts
from ec2lab.session import Session

AT_REST = (InstanceState.STOPPED, InstanceState.TERMINATED)
POLL = 0.5, 10.0
PATIENCE = 20 * 60
"""Seconds until an instance that does not stop is reported. Large ones take minutes."""

Instance = Mapping[str, Any]


@dataclass(frozen=True)
class Stopping:
    """The stopping of one experiment's instances."""

    session: Session
    experiment: str

    def instances(self) -> list[Instance]:
        """Return those that run. Raises UserError where none does, or where AWS can't stop one.

        A one-time spot instance can't be stopped, only ended
        (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/stop-spot-instances.html).
        """
        instances = instances_of(self.session, self.experiment)
        if not instances:
            raise UserError(f"{self.experiment}: no instance of it lives; `make status` shows what does")
        spot = [instance["InstanceId"] for instance in instances if instance.get("InstanceLifecycle") == "spot"]
        if spot:
            raise UserError(
                f"{self.experiment}: {', '.join(spot)} is a spot instance, which AWS can only end: "
                f"`make teardown EXP={self.experiment}`, after saving what is on it"
            )
        return [instance for instance in instances if state_of(instance) in UP]

    def losses(self, instances: Sequence[Instance]) -> list[str]:
        """Return what stopping would lose, a line for each type with disks of its own: their content goes with it
        (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-store-lifetime.html).
        """  # noqa: D205
        types = {(region_of(instance), instance["InstanceType"]) for instance in instances}
        found = []
        for region, instance_type in sorted(types):
            described = self.session.cloud.ec2(region).describe_instance_types(InstanceTypes=[instance_type])
            size = described["InstanceTypes"][0].get("InstanceStorageInfo", {}).get("TotalSizeInGB")
            if size:
                found.append(f"{instance_type}: what is on its own disks ({size} GB of instance store) is lost")
        return found

    def run(self, instances: Sequence[Instance], waiting: Callable[[Instance], None]) -> None:
        """Stop instances and wait until AWS says that they are; run again, it goes on waiting. Raises UserError."""
        for region in sorted({region_of(instance) for instance in instances}):
            ids = [instance["InstanceId"] for instance in instances if region_of(instance) == region]
            self.session.cloud.ec2(region).stop_instances(InstanceIds=ids)
        self.wait(waiting)

    def wait(self, waiting: Callable[[Instance], None]) -> None:
        """Wait until no instance of the experiment is on its way down. Raises UserError where one stays so."""
        for last in attempts(self.session.pause, POLL, PATIENCE):
            moving = [m for m in instances_of(self.session, self.experiment) if state_of(m) not in AT_REST]
            if not moving:
                return
            if last:
                raise UserError(f"{moving[0]['InstanceId']} is still {state_of(moving[0])}; run make stop again")
            waiting(moving[0])
