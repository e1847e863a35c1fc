"""What of an experiment is alive, by AWS's own word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from scripts.core import clock
from scripts.core.aws.tags import EXPERIMENT, REGISTRY, tag_map
from scripts.core.errors import LabError
from scripts.core.kind import Resource
from scripts.core.registry.resources import Holdings
from scripts.core.session import Session

POLL = 0.5
"""Seconds between looks for what AWS may not show yet."""


def living(session: Session, experiment: str, holdings: Holdings) -> list[Resource]:
    """Ask AWS, in all regions that the experiment touched and for all kinds that it asked for, what of it is not gone.

    Only what this registry is proved to have made counts: the experiment's name is on what a teammate's registry made
    too, and all tags are on copies.
    """
    regions = sorted(holdings.regions | {resource.region for resource in holdings.living})
    named: Any = [{"Name": f"tag:{EXPERIMENT}", "Values": [experiment]}]
    asked = [
        (kind, region, session.threads.submit(kind.whole, session.cloud, region, named))
        for kind in session.kinds.values()
        if kind.name in holdings.of_experiments
        for region in kind.places(regions)
    ]
    ownership, found = session.ownership(holdings), []
    for kind, region, answer in asked:  # what comes with a machine is proved by the machine, which is deleted first
        for item in answer.result():
            if ownership.proves(kind, item, experiment):
                resource = kind.resource(item, region, tag_map(item.get("Tags")))
                holdings.calls[str(resource.record)].made.add((kind.name, resource.id))
                found += [] if kind.is_gone(item) else [resource]
    return found


def shown_by_id(session: Session, wanted: Iterable[Resource]) -> list[Resource]:
    """Return what AWS has of things by their ids, whatever their tags say, and is not gone yet."""
    ids: dict[tuple[str, str], set[str]] = {}
    for resource in wanted:
        ids.setdefault((resource.kind, resource.region), set()).add(resource.id)
    asked = [
        (kind, region, session.threads.submit(session.kinds[kind].by_id, session.cloud, region, some))
        for (kind, region), some in ids.items()
    ]
    return [
        session.kinds[kind].resource(item, region, tag_map(item.get("Tags")))
        for kind, region, answer in asked
        for item in answer.result()
        if not session.kinds[kind].is_gone(item)
    ]


def left_alone(experiment: str, found: Sequence[Resource], registry: str) -> LabError:
    """Return the error that says why things in the registry are not touched, and what to do about it."""
    named = ", ".join(map(str, found))
    return LabError(
        f"{named}: in the registry, but by the tags in AWS not what {experiment} made: left alone. If it is, put its "
        f"tags back ({EXPERIMENT}={experiment}, {REGISTRY}={registry}); else delete it in the AWS console, or let it be"
    )


def is_young(session: Session, since: str) -> bool:
    """Say whether something is so new, by its RFC 3339 time, that AWS may not show it yet."""
    if not since:
        return False
    age = (clock.now() - datetime.fromisoformat(since)).total_seconds()
    return age < session.cloud.settling_seconds


def is_new(session: Session, resource: Resource) -> bool:
    """Say whether a resource is so new that AWS may not show it yet, by the clock of this machine where that knows."""
    return is_young(session, resource.recorded or resource.since)
