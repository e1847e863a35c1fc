"""The local cloud's control API, /lab/…: its scenario, the calls it received, and reset."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from moto.core.exceptions import ServiceException
from pydantic import BaseModel, ConfigDict, ValidationError

from local_cloud import clock
from local_cloud.inventory import inventory
from local_cloud.pipeline import Pipeline
from local_cloud.request import as_json
from local_cloud.responses import Answer
from local_cloud.saved_state import forget_everything
from local_cloud.scenario import Scenario, Seconds


class Advance(BaseModel):
    """Time passes."""

    model_config = ConfigDict(extra="forbid")

    seconds: Seconds


class Refused(Exception):
    """The request cannot be executed."""


class End(BaseModel):
    """EC2 takes an instance away, as with spot instances."""

    model_config = ConfigDict(extra="forbid")

    instance: str
    region: str
    code: str = "Server.SpotInstanceTermination"
    message: str = "Server.SpotInstanceTermination: Spot instance termination"


class Mark(BaseModel):
    """EC2 announces that it takes a spot instance away; `end` then does it."""

    model_config = ConfigDict(extra="forbid")

    instance: str


class Restore(BaseModel):
    """Restore a snapshot of the whole cloud."""

    model_config = ConfigDict(extra="forbid")

    id: str


class Host(BaseModel):
    """An instance is a real host, with an address and console output."""

    model_config = ConfigDict(extra="forbid")

    instance: str
    region: str
    address: str
    console: str


class Ssh(BaseModel):
    """Somebody connects to an address."""

    model_config = ConfigDict(extra="forbid")

    address: str


def controlled(front: Pipeline, method: str, path: str, body: bytes) -> Answer:
    """Answer a request to /lab/…; an invalid one with 400 and the error."""
    action = ACTIONS.get((method, path))
    if action is None:
        return _json({"error": f"{method} {path}: not known here"}, 404)
    try:
        return _json(action(front, body))
    except ValidationError as problem:
        first = problem.errors()[0]
        return _json({"error": f"{'.'.join(map(str, first['loc']))}: {first['msg']}"}, 400)
    except (Refused, ServiceException) as problem:
        return _json({"error": str(problem)}, 400)


def _json(value: Any, status: int = 200) -> Answer:
    return Answer(status, as_json(value), "application/json")


def _scenario(front: Pipeline, _: bytes) -> Any:
    return front.scenario.model_dump()


def _calls(front: Pipeline, _: bytes) -> Any:
    return list(front.log)


def _change_scenario(front: Pipeline, body: bytes) -> Any:
    scenario = Scenario.model_validate_json(body)
    with front.lock:
        front.set_scenario(scenario)
    return scenario.model_dump()


def _reset(front: Pipeline, _: bytes) -> Any:
    """Empty everything, and seed it again; the scenario is calm, and snapshots of the cloud are dropped."""
    with front.lock:
        clock.CLOCK.set_right()  # first, or the seed would get a time in the future
        forget_everything()
        front.begin(Scenario())
    return {}


def _advance(_: Pipeline, body: bytes) -> Any:
    """Let time pass at once, on the cloud and for all processes that use its clock."""
    clock.CLOCK.advance(Advance.model_validate_json(body).seconds)
    return {"ahead": clock.CLOCK.ahead}


def _stop_clock(*_: Any) -> Any:
    """Let time pass only by `advance`."""
    clock.CLOCK.stop()
    return {}


def _snapshot(front: Pipeline, _: bytes) -> Any:
    """Save the whole cloud: its resources, scenario and calls."""
    with front.lock:
        identity = str(len(front.saved) + 1)
        front.saved[identity] = front.save()
    return {"id": identity}


def _restore(front: Pipeline, body: bytes) -> Any:
    """Restore the whole cloud; calls in flight are dropped."""
    restore = Restore.model_validate_json(body)
    with front.lock:
        if restore.id not in front.saved:
            raise Refused(f"id: no snapshot {restore.id!r} of this cloud; a reset forgets them")
        front.restore(front.saved[restore.id])
    return {}


def _end(front: Pipeline, body: bytes) -> Any:
    end = End.model_validate_json(body)
    with front.lock:
        front.ec2.instances.run_due_transitions(front.scenario)
        front.ec2.instances.end(end.region, end.instance, end.code, end.message)
    return {}


def _fast_forward(front: Pipeline, _: bytes) -> Any:
    """Complete all pending state transitions."""
    with front.lock:
        front.ec2.instances.hurry()
    return {}


def _mark(front: Pipeline, body: bytes) -> Any:
    mark = Mark.model_validate_json(body)
    with front.lock:
        front.ec2.spot_requests.marked.add(mark.instance)
    return {}


def _host(front: Pipeline, body: bytes) -> Any:
    host = Host.model_validate_json(body)
    with front.lock:
        front.ec2.hosts.attach(host.region, host.instance, host.address, host.console.encode())
    return {}


def _ssh(front: Pipeline, body: bytes) -> Any:
    """Return the instance with an address, and its host key."""
    asked = Ssh.model_validate_json(body)
    if not front.scenario.stand_ins:
        raise Refused("stand-ins are off in this scenario")
    with front.lock:
        front.ec2.instances.run_due_transitions(front.scenario)
        try:
            return front.ec2.hosts.stand_in(asked.address)
        except LookupError as unknown:
            raise Refused(unknown.args[0]) from unknown


def _stop(_: Pipeline, __: bytes) -> Any:
    """End the process, once this response had time to go out."""
    threading.Timer(0.05, os._exit, (0,)).start()
    return {}


def _inventory(front: Pipeline, _: bytes) -> Any:
    with front.lock:
        front.ec2.instances.run_due_transitions(front.scenario)
        return [*inventory(), *front.ec2.placement_groups.everything()]


ACTIONS: dict[tuple[str, str], Callable[[Pipeline, bytes], Any]] = {
    ("GET", "/lab/scenario"): _scenario,
    ("POST", "/lab/scenario"): _change_scenario,
    ("GET", "/lab/calls"): _calls,
    ("GET", "/lab/inventory"): _inventory,
    ("POST", "/lab/reset"): _reset,
    ("POST", "/lab/advance"): _advance,
    ("POST", "/lab/stop-clock"): _stop_clock,
    ("POST", "/lab/snapshot"): _snapshot,
    ("POST", "/lab/restore"): _restore,
    ("POST", "/lab/end"): _end,
    ("POST", "/lab/hurry"): _fast_forward,
    ("POST", "/lab/mark"): _mark,
    ("POST", "/lab/host"): _host,
    ("POST", "/lab/ssh"): _ssh,
    ("POST", "/lab/stop"): _stop,
}
