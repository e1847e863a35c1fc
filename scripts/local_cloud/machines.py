"""The life of a machine: pending, running, shutting down, terminated, as the clock goes.

moto knows no time between these states. Here each machine that changes has an appointment, and every call first keeps
those that are due: no thread, and nothing moves while nobody looks.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from moto.ec2.models import ec2_backends

from scripts.local_cloud.call import ACCOUNT, Call
from scripts.local_cloud.placement import Placed
from scripts.local_cloud.weather import Capacity, Weather

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
ENDED = ("shutting-down", "terminated")


def backend(region: str) -> Any:
    """Return moto's EC2 of a region."""
    return ec2_backends[ACCOUNT][region]


def set_state(instance: Any, state: str) -> None:
    """Put a moto instance into a state."""
    instance._state.name, instance._state.code = state, CODES[state]  # noqa: SLF001 - moto has no other way


@dataclass
class Machines:
    """The machines between two states, and those that count against a rule of the weather."""

    _appointments: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    _born: list[tuple[Any, str, str, str]] = field(default_factory=list)
    """(instance, region, type, market)."""
    _unseen: list[tuple[float, str, Any]] = field(default_factory=list)
    """(until when, region, instance)."""

    def keep_appointments(self) -> None:
        """Do what is due by now."""
        now = time.monotonic()
        due = [change for when, change in self._appointments if when <= now]
        self._appointments = [(when, change) for when, change in self._appointments if when > now]
        for change in due:
            change()

    def alive_under(self, rule: Capacity) -> int:
        """Count the living machines that a rule of the weather is about."""
        return sum(
            instance.state not in ENDED and rule.covers(region, instance.availability_zone, instance_type, market)
            for instance, region, instance_type, market in self._born
        )

    def started(self, call: Call, ids: list[str], placed: Placed, weather: Weather) -> None:
        """Let new machines be pending, and run or die when their time comes."""
        market = call.params.get("InstanceMarketOptions.MarketType", "on-demand")
        for identity in ids:
            instance = backend(call.region).get_instance(identity)
            instance.lifecycle = market if market != "on-demand" else None
            instance.launch_template_token = call.params.get("ClientToken")
            set_state(instance, "pending")
            self._born.append((instance, call.region, call.params["InstanceType"], market))
            self._unseen.append((time.monotonic() + weather.invisible, call.region, instance))
            self._later(weather.pending, self._end_of_pending(call.region, instance, placed.late))

    def _end_of_pending(self, region: str, instance: Any, late: Capacity | None) -> Callable[[], None]:
        def change() -> None:
            if instance.state != "pending":
                return
            if late is None:
                set_state(instance, "running")
                return
            code = late.code if "." in late.code else f"Server.{late.code}"
            self.end(region, instance.id, code, late.message or f"{code}: the machine could not be started")

        return change

    def end(self, region: str, identity: str, code: str, message: str) -> None:
        """Let EC2 itself take a machine away."""
        instance = backend(region).get_instance(identity)
        self._terminate_in_moto(region, instance)
        instance.state_reason.code, instance.state_reason.message = code, message

    def terminate(self, call: Call, weather: Weather) -> None:
        """Let machines shut down for a while before moto ends them; raises moto's error for an unknown one."""
        for identity in call.values("InstanceId"):
            instance = backend(call.region).get_instance(identity)
            if instance.state in ENDED:
                continue
            if weather.shutting_down:
                set_state(instance, "shutting-down")
                self._later(weather.shutting_down, self._end_of_shutting_down(call.region, instance))
            else:
                self._terminate_in_moto(call.region, instance)

    def _end_of_shutting_down(self, region: str, instance: Any) -> Callable[[], None]:
        return lambda: self._terminate_in_moto(region, instance)

    def _terminate_in_moto(self, region: str, instance: Any) -> None:
        """End a machine with its network interfaces, which moto would keep."""
        interfaces = list(instance.nics.values())
        instance.terminate()
        for interface in interfaces:
            backend(region).enis.pop(interface.id, None)

    @contextmanager
    def unseen_hidden(self, region: str) -> Iterator[None]:
        """Take what may not be seen yet out of moto while it answers: EC2 is eventually consistent."""
        now = time.monotonic()
        self._unseen = [entry for entry in self._unseen if entry[0] > now]
        young = {instance.id for _, where, instance in self._unseen if where == region}
        store = backend(region)
        reservations, volumes = store.reservations, store.volumes
        if young:
            store.reservations = {
                key: r for key, r in reservations.items() if not young & {instance.id for instance in r.instances}
            }
            store.volumes = {
                key: v for key, v in volumes.items() if not (v.attachment and v.attachment.instance.id in young)
            }
        try:
            yield
        finally:
            store.reservations, store.volumes = reservations, volumes

    def _later(self, seconds: float, change: Callable[[], None]) -> None:
        self._appointments.append((time.monotonic() + seconds, change))


def ids_in(body: bytes) -> list[str]:
    """Return the instance ids of an answer."""
    return re.findall(r"<instanceId>(i-[0-9a-f]+)</instanceId>", body.decode())


def without_block_devices(body: bytes) -> bytes:
    """Return a RunInstances answer as EC2 gives it, while the volumes are not attached yet."""
    return re.sub(rb"<blockDeviceMapping>.*?</blockDeviceMapping>", b"<blockDeviceMapping/>", body, flags=re.DOTALL)
