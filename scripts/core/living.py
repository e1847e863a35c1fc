"""What of an experiment is alive, by AWS's own word."""

from __future__ import annotations

from datetime import UTC, datetime

from scripts.core.aws.tags import EXPERIMENT
from scripts.core.kind import Resource
from scripts.core.registry.resources import FOUND, GONE, SETTLED, Holdings, as_note, token_of
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
    age = (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds()
    return age < session.cloud.settling_seconds


def is_new(session: Session, resource: Resource) -> bool:
    """Say whether a resource is so new that AWS may not show it yet, by the clock of this machine where that knows."""
    return is_young(session, resource.recorded or resource.since)


def settled(session: Session, experiment: str) -> list[Resource]:
    """Return what of an experiment is alive, once AWS can be expected to know; note what came of the rest.

    Every intent without an answer is settled by that: what it made is shown by now, or it made nothing.
    """
    known = session.holdings(experiment)
    if not known.living and not known.unsettled:
        return []
    while _may_hide_something(session, known, found := living(session, experiment, known)):
        session.pause(POLL)
    shown = {resource.id for resource in found}
    gone = [resource.id for resource in known.living if resource.id not in shown]
    answered = [intent.id for intent in known.unsettled]
    known_before = {resource.id for resource in known.living}
    new = [as_note(resource) for resource in found if resource.id not in known_before]
    if gone or answered or new:
        session.recorder.note(**{GONE: gone, SETTLED: answered, FOUND: new})
    return found


def _may_hide_something(session: Session, known: Holdings, found: list[Resource]) -> bool:
    """Say whether AWS may have something that it does not show yet."""
    records, shown = {resource.record for resource in found}, {resource.id for resource in found}
    intents = [intent for intent in known.unsettled if token_of(intent) not in records]
    missing = [resource for resource in known.living if resource.id not in shown]
    return any(is_young(session, i.time) for i in intents) or any(is_new(session, r) for r in missing)
