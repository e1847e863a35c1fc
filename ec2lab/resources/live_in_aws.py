"""Live resources of an experiment, as AWS reports them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from typing import Any

from ec2lab import clock
from ec2lab.aws.region_queries import Key, Responses, awaited
from ec2lab.aws.tags import EXPERIMENT, REGISTRY, from_aws
from ec2lab.errors import UserError
from ec2lab.registry.state import ResourceState, holdings
from ec2lab.resource import Resource, ResourceType
from ec2lab.session import Session

POLL = 0.5, 0.5  # seconds between queries for what AWS may not show yet


def known_regions(session: Session) -> list[str]:
    """Return the regions where the lab may have resources: those of lab.toml, and those ever used."""
    ever = holdings(session.registry.records(), session.resource_types).regions  # in any account: reading does no harm
    return list(dict.fromkeys([*session.lab.regions, *sorted(ever)]))


def find_live_resources(session: Session, experiment: str, holdings: ResourceState, only: str = "") -> list[Resource]:
    """Ask AWS for an experiment's live resources, in all regions and of all types that it ever requested.

    `only` restricts it to one resource type. Raises the first call's error.
    """
    asked = {
        key: session.threads.submit(query)
        for key, query in _queries(session, experiment, holdings).items()
        if only in ("", key[1])
    }
    return _ours(session, experiment, holdings, awaited(asked))


def seen_alive(session: Session, experiment: str, holdings: ResourceState) -> Responses[list[Resource]]:
    """The same, with each region on its own: one that fails or is late hides nothing of the others."""
    responses = session.queries.run(_queries(session, experiment, holdings))
    found = _ours(session, experiment, holdings, responses.found)
    sorted_out = {key: [r for r in found if (r.region, r.resource_type) == key] for key in responses.found}
    return Responses(sorted_out, responses.failures)


def _queries(
    session: Session, experiment: str, holdings: ResourceState
) -> dict[Key, Callable[[], list[Mapping[str, Any]]]]:
    regions = sorted(holdings.regions | {resource.region for resource in holdings.live})
    named: Any = [{"Name": f"tag:{EXPERIMENT}", "Values": [experiment]}]
    return {
        (region, resource_type.name): partial(resource_type.whole, session.cloud, region, named)
        for resource_type in session.resource_types.values()
        if resource_type.name in holdings.of_experiments
        for region in resource_type.places(regions)
    }


def _ours(
    session: Session, experiment: str, holdings: ResourceState, responses: Mapping[Key, list[Mapping[str, Any]]]
) -> list[Resource]:
    """Return the resources that this registry can prove it created and that still exist.

    Resources of a teammate's registry carry the experiment's name as well, and copies carry all tags.
    """
    ownership, found = session.records.ownership(holdings), []
    for (region, name), items in responses.items():  # instances first: they prove what came with them
        resource_type = session.resource_types[name]
        for item in items:
            if ownership.proves(resource_type, item, experiment):
                resource = resource_type.resource(item, region, from_aws(item.get("Tags")))
                holdings.calls[str(resource.record)].made.add((resource_type.name, resource.id))
                found += [] if resource_type.is_deleted(item) else [resource]
    return found


def proven(
    session: Session, asked: Iterable[tuple[ResourceType, str, Future[list[Mapping[str, Any]]]]], known: ResourceState
) -> list[Resource]:
    """Return what this registry can prove it created, and that still exists, of what each region describes."""
    ours = session.records.ownership(known)
    return [
        resource_type.resource(item, place, from_aws(item.get("Tags")))
        for resource_type, place, described in asked
        for item in described.result()
        if ours.proves(resource_type, item) and not resource_type.is_deleted(item)
    ]


def seen_by_id(session: Session, wanted: Iterable[Resource]) -> Responses[list[Resource]]:
    """Describe resources by id in each region, whatever their tags; those that are gone are left out."""
    responses = session.queries.run(_by_id(session, wanted))
    return Responses(
        {key: _there(session.resource_types, {key: items}) for key, items in responses.found.items()},
        responses.failures,
    )


def shown_by_id(session: Session, wanted: Iterable[Resource]) -> list[Resource]:
    """Describe resources by id and return those that still exist. Raises the first call's error."""
    asked = {key: session.threads.submit(query) for key, query in _by_id(session, wanted).items()}
    return _there(session.resource_types, awaited(asked))


def _by_id(session: Session, wanted: Iterable[Resource]) -> dict[Key, Callable[[], list[Mapping[str, Any]]]]:
    ids: dict[Key, set[str]] = {}
    for resource in wanted:
        ids.setdefault((resource.region, resource.resource_type), set()).add(resource.id)
    return {
        (region, resource_type): partial(session.resource_types[resource_type].by_id, session.cloud, region, some)
        for (region, resource_type), some in ids.items()
    }


def _there(
    resource_types: Mapping[str, ResourceType], responses: Mapping[Key, list[Mapping[str, Any]]]
) -> list[Resource]:
    return [
        resource_types[resource_type].resource(item, region, from_aws(item.get("Tags")))
        for (region, resource_type), items in responses.items()
        for item in items
        if not resource_types[resource_type].is_deleted(item)
    ]


def left_alone(experiment: str, found: Sequence[Resource], registry: str) -> UserError:
    """Return the error that says why resources in the registry are not touched, and what to do."""
    named = ", ".join(map(str, found))
    return UserError(
        f"{named}: left alone: it is in the registry, but its tags in AWS are not {experiment}'s. If it is, restore "
        f"its tags ({EXPERIMENT}={experiment}, {REGISTRY}={registry}); else ignore it, or delete it in the AWS console"
    )


def within_consistency_window(session: Session, since: str) -> bool:
    """Say whether something with this RFC 3339 time is so new that AWS may not show it yet."""
    if not since:
        return False
    age = (clock.now() - datetime.fromisoformat(since)).total_seconds()
    # A time in the future means that this computer's clock was set back: age counts from when it was first seen.
    return (age if age >= 0 else _since_met(session, since)) < session.cloud.consistency_seconds


def _since_met(session: Session, moment: str) -> float:
    """Return how many seconds ago a moment was first asked about in this command."""
    now = clock.monotonic()
    return now - session.once(_moments_met).setdefault(moment, now)


def _moments_met(session: Session) -> dict[str, float]:
    del session
    return {}


def is_new(session: Session, resource: Resource) -> bool:
    """Say whether a resource is so new that AWS may not show it yet, by this computer's clock if possible."""
    return within_consistency_window(session, resource.recorded or resource.since)
