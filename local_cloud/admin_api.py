"""The local cloud's control API, /lab/…: its scenario, the calls it received, and reset.

The members of a request's JSON body are the arguments of the function below that carries it out, validated by pydantic.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from moto.core.exceptions import ServiceException
from pydantic import InstanceOf, ValidationError, validate_call
from pydantic_core import from_json

from local_cloud import clock
from local_cloud.inventory import inventory
from local_cloud.pipeline import Pipeline
from local_cloud.responses import Answer, json_answer
from local_cloud.saved_state import forget_everything
from local_cloud.scenario import Scenario, Seconds

Front = InstanceOf[Pipeline]


class Refused(Exception):
    """The request cannot be executed."""


def controlled(front: Pipeline, method: str, path: str, body: bytes) -> Answer:
    """Answer a request to /lab/…; an invalid one with 400 and the error."""
    action = ACTIONS.get((method, path))
    if action is None:
        return json_answer({"error": f"{method} {path}: not known here"}, 404)
    try:
        arguments = from_json(body or b"{}")
        with front.lock:
            return json_answer(action(front, **arguments))
    except ValidationError as problem:
        first = problem.errors()[0]
        return json_answer({"error": f"{'.'.join(map(str, first['loc']))}: {first['msg']}"}, 400)
    except (Refused, ServiceException, TypeError, ValueError) as problem:  # the last two: a body that is no JSON object
        return json_answer({"error": str(problem)}, 400)


def _scenario(front: Pipeline) -> Any:
    return front.scenario.model_dump()


def _calls(front: Pipeline) -> Any:
    return list(front.log)


def _change_scenario(front: Pipeline, **settings: Any) -> Any:
    front.set_scenario(Scenario(**settings))
    return front.scenario.model_dump()


def _reset(front: Pipeline) -> Any:
    """Empty everything, and seed it again; the scenario is calm, and snapshots of the cloud are dropped."""
    clock.CLOCK.set_right()  # first, or the seed would get a time in the future
    forget_everything()
    front.begin(Scenario())
    return {}


@validate_call
def _advance(_: Front, *, seconds: Seconds) -> Any:
    """Let time pass at once, on the cloud and for all processes that use its clock."""
    clock.CLOCK.advance(seconds)
    return {"ahead": clock.CLOCK.ahead}


def _stop_clock(_: Pipeline) -> Any:
    clock.CLOCK.stop()
    return {}


def _snapshot(front: Pipeline) -> Any:
    """Save the whole cloud: its resources, scenario and calls."""
    identity = str(len(front.saved) + 1)
    front.saved[identity] = front.save()
    return {"id": identity}


@validate_call
def _restore(front: Front, *, id: str) -> Any:  # noqa: A002 - the request's own word
    """Restore the whole cloud; calls in flight are dropped."""
    if id not in front.saved:
        raise Refused(f"id: no snapshot {id!r} of this cloud; a reset forgets them")
    front.restore(front.saved[id])
    return {}


@validate_call
def _end(
    front: Front,
    *,
    instance: str,
    region: str,
    code: str = "Server.SpotInstanceTermination",
    message: str = "Server.SpotInstanceTermination: Spot instance termination",
) -> Any:
    """EC2 takes an instance away, as with spot instances."""
    front.ec2.instances.run_due_transitions(front.scenario)
    front.ec2.instances.end(region, instance, code, message)
    return {}


def _fast_forward(front: Pipeline) -> Any:
    front.ec2.instances.hurry()
    return {}


@validate_call
def _mark(front: Front, *, instance: str) -> Any:
    """EC2 announces that it takes a spot instance away; `end` then does it."""
    front.ec2.spot_requests.marked.add(instance)
    return {}


@validate_call
def _host(front: Front, *, instance: str, region: str, address: str, console: str) -> Any:
    """Make an instance a real host, with an address and console output."""
    front.ec2.hosts.attach(region, instance, address, console.encode())
    return {}


@validate_call
def _ssh(front: Front, *, address: str) -> Any:
    """Somebody connects to an address: return its instance, and the instance's host key."""
    if not front.scenario.stand_ins:
        raise Refused("stand-ins are off in this scenario")
    front.ec2.instances.run_due_transitions(front.scenario)
    try:
        return front.ec2.hosts.stand_in(address)
    except LookupError as unknown:
        raise Refused(unknown.args[0]) from unknown


def _stop(_: Pipeline) -> Any:
    """End the process, once this response had time to go out."""
    threading.Timer(0.05, os._exit, (0,)).start()
    return {}


def _inventory(front: Pipeline) -> Any:
    front.ec2.instances.run_due_transitions(front.scenario)
    return [*inventory(), *front.ec2.placement_groups.everything()]


ACTIONS: dict[tuple[str, str], Callable[..., Any]] = {
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
