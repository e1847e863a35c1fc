"""What of an experiment is alive, by AWS's own word."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from scripts.core.errors import LabError
from scripts.core.kind import Resource
from scripts.core.resources import GONE, SETTLED, Holdings
from scripts.core.session import Session
from scripts.core.tags import EXPERIMENT

POLL = 0.5
"""Seconds between looks for what AWS may not show yet."""


def living(session: Session, experiment: str, holdings: Holdings) -> list[Resource]:
    """Ask AWS, in all regions that the experiment touched and for all kinds at once, what of it is not gone.

    Only what this registry asked for counts: what carries the experiment's name and another registry's record is a
    teammate's.
    """
    regions = holdings.regions | {resource.region for resource in holdings.living}
    asked = [
        session.threads.submit(kind.tagged, session.cloud, region, EXPERIMENT, experiment)
        for region in sorted(regions)
        for kind in session.kinds.values()
    ]
    return [resource for answer in asked for resource in answer.result() if resource.record in holdings.tokens]


def is_young(session: Session, since: str) -> bool:
    """Say whether something is so new, by its RFC 3339 time, that AWS may not show it yet."""
    if not since:
        return False
    age = (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds()
    return age < session.cloud.settling_seconds


def refuse_if_living(session: Session, experiment: str) -> None:
    """Raise LabError, saying where, if an experiment owns anything; note in the registry what is gone by now.

    What the registry takes for living, or for possibly made, is looked up in AWS, which has the last word, but not
    before it can be expected to know.
    """
    known = session.holdings(experiment)
    if not known.living and not known.unsettled:
        return
    while not (found := living(session, experiment, known)):
        made = [intent.time for intent in known.unsettled] + [resource.since for resource in known.living]
        if not any(is_young(session, since) for since in made):
            break
        time.sleep(POLL)
    if found:
        shown = ", ".join(f"{r} {r.state}{f' since {r.since}' if r.since else ''}".rstrip() for r in found)
        raise LabError(f"{experiment} already lives: {shown}; `make teardown EXP={experiment}` ends it")
    settled = [intent.id for intent in known.unsettled]
    session.recorder.note(**{GONE: [r.id for r in known.living], SETTLED: settled})
