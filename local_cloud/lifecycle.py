"""An instance's life cycle: pending, running, shutting down, terminated, by the clock.

moto changes states at once. Here each transition is scheduled, and every call first executes those that are due: no
thread, and nothing changes while nobody looks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from moto.ec2.models import ec2_backends

from local_cloud import clock
from local_cloud.request import ACCOUNT
from local_cloud.scenario import Capacity, Scenario

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceState.html."""
ENDED = ("shutting-down", "terminated")
CAPACITY_FREE_STATES = (*ENDED, "stopped")


def backend(region: str) -> Any:
    return ec2_backends[ACCOUNT][region]


def instances_in(region: str) -> list[Any]:
    return [instance for reservation in backend(region).reservations.values() for instance in reservation.instances]


def set_state(instance: Any, state: str) -> None:
    instance._state.name, instance._state.code = state, CODES[state]  # noqa: SLF001 - moto has no other way


@dataclass
class Instances:
    """The instances in transition, and those that count against a rule of the scenario."""

    _appointments: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    """(when, what is due then). No closures, which cannot be pickled."""
    _granted_by: dict[str, tuple[Any, Capacity]] = field(default_factory=dict)
    """Instance id -> the instance, and the rule of the scenario that granted it."""
    _terminated: deque[tuple[float, str, Any]] = field(default_factory=deque)  # (since when, region, instance)

    def run_due_transitions(self, scenario: Scenario) -> None:
        """Execute what is due; instances terminated long ago are forgotten."""
        now = clock.monotonic()
        due = [change for when, change in self._appointments if when <= now]
        self._appointments = [(when, change) for when, change in self._appointments if when > now]
        for change in due:
            change()
        while self._terminated and self._terminated[0][0] + scenario.terminated_shown <= now:
            _, region, instance = self._terminated.popleft()
            self._granted_by.pop(instance.id, None)
            _forget(region, instance)

    def hurry(self) -> None:
        self._appointments = [(0.0, change) for _, change in self._appointments]

    def alive_under(self, rule: Capacity) -> int:
        """Count the live instances that a rule of the scenario granted."""
        return sum(
            granted_by is rule and instance.state not in CAPACITY_FREE_STATES
            for instance, granted_by in self._granted_by.values()
        )

    def started(
        self, region: str, instance: Any, granted_by: Capacity | None, scenario: Scenario, *, again: bool = False
    ) -> None:
        """Set an instance to pending, and schedule its start or death; one started `again` only stops again."""
        set_state(instance, "pending")
        if granted_by:
            self._granted_by[instance.id] = (instance, granted_by)
        late = granted_by if granted_by and granted_by.late else None
        self._schedule(scenario.pending, partial(self._end_of_pending, region, instance, late, again=again))

    def _end_of_pending(self, region: str, instance: Any, late: Capacity | None, *, again: bool) -> None:
        if instance.state != "pending":
            return
        if late is None:
            set_state(instance, "running")
            return
        code = late.code if late.code.startswith(("Client.", "Server.")) else f"Server.{late.code}"
        message = late.message or f"{code}: the instance could not be started"
        if again:
            instance.stop()
            instance.state_reason.code, instance.state_reason.message = code, message
        else:
            self.end(region, instance.id, code, message)

    def end(self, region: str, identity: str, code: str, message: str) -> None:
        instance = backend(region).get_instance(identity)
        if instance.state != "terminated":
            self._terminate_in_moto(region, instance)
        instance.state_reason.code, instance.state_reason.message = code, message

    def terminate(self, region: str, instance: Any, scenario: Scenario) -> None:
        """Let an instance shut down for a while before moto ends it."""
        if instance.state in ENDED:
            return
        if scenario.shutting_down:
            set_state(instance, "shutting-down")
            self._schedule(scenario.shutting_down, partial(self._end_of_shutting_down, region, instance))
        else:
            self._terminate_in_moto(region, instance)

    def stopped(self, instance: Any, scenario: Scenario) -> None:
        """Let an instance be stopping for a while before it is stopped."""
        if scenario.shutting_down:
            set_state(instance, "stopping")
            self._schedule(scenario.shutting_down, partial(_end_of_stopping, instance))

    def _end_of_shutting_down(self, region: str, instance: Any) -> None:
        if instance.state == "shutting-down":
            self._terminate_in_moto(region, instance)

    def _terminate_in_moto(self, region: str, instance: Any) -> None:
        """End an instance with its network interfaces, which moto would keep."""
        interfaces = list(instance.nics.values())
        instance.terminate()
        for interface in interfaces:
            backend(region).enis.pop(interface.id, None)
        self._terminated.append((clock.monotonic(), region, instance))

    def _schedule(self, seconds: float, change: Callable[[], None]) -> None:
        self._appointments.append((clock.monotonic() + seconds, change))


def _end_of_stopping(instance: Any) -> None:
    if instance.state == "stopping":
        set_state(instance, "stopped")


def _forget(region: str, instance: Any) -> None:
    """Remove an instance from moto, which would show it forever, and search it for each filter."""
    store = backend(region)
    for identity, reservation in list(store.reservations.items()):
        if instance in reservation.instances:
            reservation.instances.remove(instance)
            if not reservation.instances:
                del store.reservations[identity]
    store.tags.pop(instance.id, None)
