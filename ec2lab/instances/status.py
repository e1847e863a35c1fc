"""Live resources: the registry says which exist, AWS their state."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ec2lab import clock
from ec2lab.aws.region_queries import Key, Responses
from ec2lab.aws.tags import EXPERIMENT, from_aws
from ec2lab.costs.summary import CostSummary
from ec2lab.events import Unavailable
from ec2lab.events.launch import InstanceRunning
from ec2lab.hosts.inventory import region_of
from ec2lab.instance_state import InstanceState
from ec2lab.registry.record import Record
from ec2lab.registry.state import ResourceState
from ec2lab.resource import UNKNOWN_ID, Resource, ResourceType
from ec2lab.resources.expiry import is_overdue, left
from ec2lab.resources.live_in_aws import is_new, seen_by_id
from ec2lab.session import Session

if TYPE_CHECKING:
    from ec2lab.events.costs import ResourceStatus

NOT_FOUND = "not in AWS any more"
UNKNOWN_TYPE = "of a type that no plugin here knows"
UNLIKE_ITS_TAGS = "there, and by its tags no experiment's"
NOT_VISIBLE_YET = "not shown by AWS yet"
NOT_SEEN = "not seen"  # its region could not be described


@dataclass(frozen=True, slots=True)
class Standing:
    resources: list[Resource]
    unseen: Mapping[str, str] = field(default_factory=dict)
    """Regions that could not be described, with reasons; resources recorded there are included."""
    unknown: Sequence[Unavailable] = ()


def standing(session: Session, holdings: ResourceState | None = None) -> Standing:
    """Return live resources by experiment with AWS's state, and what may have been created.

    One description per type and region, in parallel; none where nothing is live. The registry is read unless `holdings`
    is given.
    """
    known = holdings or session.records.state()
    owned = [resource for resource in known.live if resource.experiment]
    places = sorted({(resource.region, resource.resource_type) for resource in owned})
    responses = session.queries.run(
        {(r, resource_type): partial(_described, session, resource_type, r) for r, resource_type in places}
    )
    described = {one.id: one for found in responses.found.values() for one in found}
    missing = [
        resource
        for resource in owned
        if resource.id not in described
        and (resource.region, resource.resource_type) not in responses.failures
        and not is_new(session, resource)
    ]
    others = seen_by_id(session, missing)
    failed = {**responses.failures, **others.failures}
    there = {resource.id for some in others.found.values() for resource in some}
    more = _looked_up(session, responses)
    shown = [
        _with_known(described[resource.id], resource, more.details.get(resource.id, {}))
        if resource.id in described
        else replace(resource, state=_state(session, resource, there, failed))
        for resource in owned
    ]
    shown += [possible_resource(session.resource_types, intent) for intent in known.unresolved]
    shown += [replace(resource, state=UNKNOWN_TYPE) for resource in known.unknown]
    shown.sort(key=lambda resource: (resource.experiment or "", resource.resource_type, resource.id))
    return Standing(shown, {**others.unseen, **responses.unseen}, more.unknown)


def _with_known(described: Resource, recorded: Resource, more: Mapping[str, str]) -> Resource:
    creator = recorded.created_by or described.created_by
    return replace(described, created_by=creator, details={**described.details, **more})


def possible_resource(resource_types: Mapping[str, ResourceType], intent: Record) -> Resource:
    return Resource(
        resource_type=next(
            resource_type.name
            for resource_type in resource_types.values()
            if intent.operation in resource_type.created_by
        ),
        id=UNKNOWN_ID,
        region=str(intent.region),
        experiment=intent.experiment,
        since=intent.time,
        created_by=intent.by,
        state=f"possibly created: make teardown EXP={intent.experiment}",
    )


def _state(session: Session, resource: Resource, others: Collection[str], failed: Collection[Key]) -> str:
    """Return the state of a resource that AWS did not show."""
    if (resource.region, resource.resource_type) in failed:
        return NOT_SEEN
    if is_new(session, resource):
        return NOT_VISIBLE_YET
    return UNLIKE_ITS_TAGS if resource.id in others else NOT_FOUND


def _described(session: Session, kind_name: str, region: str) -> list[Resource]:
    resource_type = session.resource_types[kind_name]
    found = resource_type.find(session.cloud, region, [{"Name": "tag-key", "Values": [EXPERIMENT]}])
    return [resource_type.resource(item, region, from_aws(item.get("Tags"))) for item in found]


@dataclass(frozen=True, slots=True)
class _More:
    details: Mapping[str, Mapping[str, str]]
    unknown: list[Unavailable]


def _looked_up(session: Session, described: Responses[list[Resource]]) -> _More:
    """Query details that descriptions lack. Those that fail are unknown, and end nothing."""
    responses = session.queries.run({
        (region, resource_type): partial(session.resource_types[resource_type].extra_details, session.cloud, region,
            found)
        for (region, resource_type), found in described.found.items()
        if found
    })  # fmt: skip
    unknown = {
        one.id: session.resource_types[resource_type].unknown_in(one)
        for region, resource_type in responses.failures
        for one in described.found[region, resource_type]
    }
    found = {identity: details for some in responses.found.values() for identity, details in some.items()}
    lacking = ", ".join(sorted({detail for details in unknown.values() for detail in details}))
    reasons = [
        Unavailable(what=lacking, region=region, reason=why) for region, why in responses.unseen.items() if lacking
    ]
    return _More({**unknown, **found}, reasons)


def forgotten_by_aws(resources: Iterable[Resource]) -> str:
    """Say, for people, which of them AWS no longer knows, so that they cost nothing; nothing if it knows all."""
    gone = [resource.id for resource in resources if resource.state == NOT_FOUND]
    return f"{', '.join(gone)}: {NOT_FOUND}, so it costs nothing more" if gone else ""


def running_event(
    resource_types: Mapping[str, ResourceType],
    experiment: str,
    instance: Mapping[str, Any],
    seconds: float | None = None,
) -> InstanceRunning:
    return seen_running(experiment, resource_types["instance"].resource(instance, region_of(instance), {}), seconds)


def seen_running(experiment: str, instance: Resource, seconds: float | None = None) -> InstanceRunning:
    known = {
        "experiment": experiment, "id": instance.id, "region": instance.region,
        "seconds": None if seconds is None else round(seconds, 3),
        "remaining": left(instance.details, InstanceState.RUNNING, clock.now()),
    }  # fmt: skip
    return InstanceRunning(**{**_texts(instance.details), **known})


def status_event(resource: Resource, cost: CostSummary, host: str = "") -> ResourceStatus:
    from ec2lab.events.costs import ResourceStatus  # launches need none of these

    details, state, now = resource.details, resource.state, clock.now()
    known = {
        "host": host, "created_by": resource.created_by,
        "state": state, "state_reason": resource.state_reason.code, "since": resource.since,
        "remaining": left(details, state, now), "overdue": is_overdue(details, state, now),
        **cost.rates(),
    }  # fmt: skip
    return ResourceStatus.of(resource, **{**_texts(details), **known})


def _texts(details: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in details.items()}
