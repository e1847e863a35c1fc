"""The instances of one launch, running and pending."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ec2lab.aws.error_codes import ApiError
from ec2lab.aws.tags import from_aws
from ec2lab.capacity_pools import Pool
from ec2lab.console import warn
from ec2lab.events import Emit, Progress
from ec2lab.events.teardown import Deleting
from ec2lab.hosts.inventory import by_launch_order, region_of
from ec2lab.instance_state import Instance
from ec2lab.launch.run_instances import PendingInstances, wait_until_gone, wait_until_running
from ec2lab.launch.run_instances_request import verify_root_device
from ec2lab.launch.shared_by_launches import SharedByLaunches
from ec2lab.registry.record import LAUNCHED, OUTPUTS, PROVENANCE, origin
from ec2lab.session import Session


@dataclass
class LaunchedInstances:
    session: Session
    count: int = 1  # the number of instances wanted
    running: list[Instance] = field(default_factory=list)
    origins: list[dict[str, Any]] = field(default_factory=list)  # the provenance of each instance
    _starting: dict[Pool, PendingInstances] = field(default_factory=dict)
    _requests: dict[Pool, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def ids(self) -> set[str]:
        running = {instance["InstanceId"] for instance in self.running}
        return running.union(*(starting.pending for starting in self._starting.values()))

    @property
    def missing(self) -> int:
        return self.count - len(self.ids)

    @property
    def in_order(self) -> list[Instance]:
        return by_launch_order(self.running)

    def add(self, pool: Pool, ids: Iterable[str], request: Mapping[str, Any]) -> None:
        self._starting[pool] = PendingInstances(self.session.once(SharedByLaunches).batcher(pool.region), set(ids))
        self._requests[pool] = request

    def settle(self, emit: Emit) -> list[tuple[Pool, ApiError]]:
        """Wait until each instance runs or has terminated; return the errors of the latter. Raises UserError."""

        def waiting(seconds: float) -> None:
            emit(Progress(text=f"  waiting until it runs: {seconds:.0f} s"))

        wait_until_running(list(self._starting.values()), waiting, self.session.pause)
        dead = []
        for pool, starting in self._starting.items():
            for instance in starting.running:
                if request := self._requests[pool]:
                    verify_root_device(instance, request)
                self.running.append(instance)
                self.origins.append(origin(pool.region, instance, self._requests[pool]))
            dead += [(pool, error) for error in starting.dead]
        self._starting.clear()
        return dead

    def commit(self, outputs: Mapping[str, str] | None = None) -> None:
        """Record that the launch succeeded: before, the next launch resumes it; afterwards, the next one is refused."""
        ids = [instance["InstanceId"] for instance in self.in_order]
        uris = outputs or {}
        known = [
            {**one, OUTPUTS: {"uri": uris[one["instance"]]}} if one["instance"] in uris else one for one in self.origins
        ]
        self.session.recorder.annotate(**{LAUNCHED: ids, PROVENANCE: known})

    def give_back(self, emit: Emit) -> None:
        """Terminate the instances of an incomplete group, and wait until they are terminated.

        Until then, their placement group accepts no instance in another zone. After a timeout they are left to shut
        down.
        """
        resource_type = self.session.resource_types["instance"]
        given = [resource_type.resource(m, region_of(m), from_aws(m.get("Tags"))) for m in self.running]
        for resource in given:
            resource_type.delete(self.session.cloud, resource)
            emit(Deleting.of(resource))
        for region in sorted({resource.region for resource in given}):
            ids = [resource.id for resource in given if resource.region == region]
            if slow := wait_until_gone(self.session.once(SharedByLaunches).batcher(region), ids, self.session.pause):
                warn(f"{', '.join(sorted(slow))}: still shutting down; the search continues")
        self.running.clear()
        self.origins.clear()
