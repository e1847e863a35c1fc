"""Resuming a launch that was interrupted: the registry says that it was, and what it made is adopted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ec2lab.errors import LabError
from ec2lab.instance_state import DOWN
from ec2lab.launch.part import RegionUnavailable
from ec2lab.launch.region_specs import RegionSpecs
from ec2lab.launch.request import build_request, pool_of
from ec2lab.launch.run_instances import Refused, Unclear, ask
from ec2lab.launch.search import PlacementPreferences
from ec2lab.registry.evidence import token_of
from ec2lab.registry.history import History
from ec2lab.registry.reconcile import AskAgain, reconcile
from ec2lab.registry.record import Record
from ec2lab.registry.redaction import redact
from ec2lab.resources.base import Resource
from ec2lab.session import Session

if TYPE_CHECKING:
    from ec2lab.launch.search_loop import SearchLoop


class AlreadyRunning(LabError):
    """There is nothing to launch."""


def instances_of_interrupted_launch(
    session: Session, experiment: str, ask_again: AskAgain | None = None
) -> list[Resource]:
    """Return the machines that a launch made before it was cut off; none where nothing lives.

    What it made and did not live to hear of is learned by `ask_again`, or found by its tag. Raises LabError, saying
    where, if the experiment lives because its launch ended well.
    """
    found = reconcile(session, experiment, ask_again)
    if found and not History(session.records_here(experiment)).of(experiment).interrupted:
        named = [resource for resource in found if resource.kind == "instance"] or found
        told = ((str(r), r.shown_state, r.since and f"since {r.since}") for r in named)
        shown = ", ".join(" ".join(filter(None, words)) for words in told)
        raise AlreadyRunning(f"{experiment} already lives: {shown}; {_hint(found, experiment)}")
    kind = session.kinds["instance"]
    return [resource for resource in found if resource.kind == kind.name and not kind.is_deleting(resource)]


def _hint(found: Sequence[Resource], experiment: str) -> str:
    stopped = any(resource.state in DOWN for resource in found)
    return f"{f'`make start EXP={experiment}` starts it, ' if stopped else ''}`make teardown EXP={experiment}` ends it"


def requests_of(session: Session, experiment: str, machines: Sequence[Resource]) -> dict[str, Mapping[str, Any]]:
    """Return the RunInstances request that each of an experiment's machines was made by, by its id."""
    intents = History(session.records_here(experiment)).requests
    return {m.id: intents[m.record].request or {} for m in machines if m.record and m.record in intents}


def adopt(loop: SearchLoop, left: Sequence[Resource]) -> None:
    """Let a search begin with the instances of an interrupted launch, as if it had found them itself."""
    if not left:
        return
    loop.rollback.may_hold_something = True
    loop.listener.taken_up(left)
    requests = requests_of(loop.session, loop.name, left)
    for region in sorted({instance.region for instance in left}):
        ids = {instance.id for instance in left if instance.region == region}
        request = next((requests[identity] for identity in sorted(ids) if identity in requests), {})
        loop.instances.add(pool_of(request, region), ids, request)


def resend(loop: SearchLoop, intent: Record) -> None:
    """Send a request whose response was lost once more, if the experiment as it is now asks for the same.

    By its ClientToken AWS responds with what the first one made, or makes it now: either is what is wanted.
    """
    if intent.operation != "RunInstances" or not is_wanted(intent, loop.preferences, loop.instances.missing):
        return
    loop.rollback.may_hold_something |= loop.is_all_or_nothing
    if not (request := same_request(loop.session, loop.specs, intent)):
        return
    loop.rollback.asked_before()
    ec2, limiter = loop.session.cloud.ec2_no_retry(str(intent.region)), loop.session.launch_limiter(str(intent.region))
    # Nothing was made, as far as it says, or it stays for AWS to show; the search asks in its own order.
    with suppress(Refused, Unclear):
        ask(ec2, request, token_of(intent), limiter, renew=False)


def is_wanted(intent: Record, wishes: PlacementPreferences, missing: int) -> bool:
    """Say whether an experiment, as it is now, would ask for what an intent asked for."""
    recorded, region = intent.request or {}, str(intent.region)
    pool = pool_of(recorded, region)
    placed = region in wishes.regions and pool.instance_type in wishes.instance_types and pool.market in wishes.markets
    return placed and 0 < recorded.get("MaxCount", 0) <= missing


def same_request(session: Session, specs: RegionSpecs, intent: Record) -> dict[str, Any] | None:
    """Return the request of an intent, if the experiment as it is now asks for the same; None else.

    The record holds user data by its digest alone, so it is made again.
    """
    recorded, region = intent.request or {}, str(intent.region)
    try:
        spec, pool = specs.ready(region), pool_of(recorded, region)
        request = build_request(spec, pool, recorded["MaxCount"], recorded.get("MinCount", 0))
    except RegionUnavailable:
        return None
    request["TagSpecifications"] = recorded.get("TagSpecifications", [])
    shape = session.cloud.ec2(region).meta.service_model.operation_model("RunInstances").input_shape
    same = redact({**request, "ClientToken": token_of(intent)}, shape) == recorded
    return request if same else None
