"""What of an experiment is alive, by AWS's own word."""

from __future__ import annotations

from datetime import datetime

from scripts.core import clock
from scripts.core.aws.tags import EXPERIMENT
from scripts.core.kind import Resource
from scripts.core.registry.resources import Holdings
from scripts.core.session import Session

POLL = 0.5
"""Seconds between looks for what AWS may not show yet."""


def living(session: Session, experiment: str, holdings: Holdings) -> list[Resource]:
    """Ask AWS, in all regions that the experiment touched and for all kinds that it asked for, what of it is not gone.

    Only what this registry asked for counts: what carries the experiment's name and another registry's record is a
    teammate's.
    """
    regions = holdings.regions | {resource.region for resource in holdings.living}
    asked = [
        session.threads.submit(kind.tagged, session.cloud, region, EXPERIMENT, experiment)
        for kind in session.kinds.values()
        if kind.name in holdings.kinds
        for region in kind.places(sorted(regions))
    ]
    return [resource for answer in asked for resource in answer.result() if resource.record in holdings.tokens]


def is_young(session: Session, since: str) -> bool:
    """Say whether something is so new, by its RFC 3339 time, that AWS may not show it yet."""
    if not since:
        return False
    age = (clock.now() - datetime.fromisoformat(since)).total_seconds()
    return age < session.cloud.settling_seconds


def is_new(session: Session, resource: Resource) -> bool:
    """Say whether a resource is so new that AWS may not show it yet, by the clock of this machine where that knows."""
    return is_young(session, resource.recorded or resource.since)
