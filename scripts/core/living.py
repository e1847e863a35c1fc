"""What of an experiment is alive, by AWS's own word."""

from __future__ import annotations

from collections.abc import Iterable

from scripts.core.errors import LabError
from scripts.core.kind import Resource
from scripts.core.resources import GONE, SETTLED
from scripts.core.session import Session
from scripts.core.tagging import EXPERIMENT


def living(session: Session, experiment: str, regions: Iterable[str]) -> list[Resource]:
    """Ask AWS, in all regions and for all kinds at once, what carries the experiment's tag and is not gone."""
    asked = [
        session.threads.submit(kind.tagged, session.cloud, region, EXPERIMENT, experiment)
        for region in sorted(regions)
        for kind in session.kinds.values()
    ]
    return [resource for answer in asked for resource in answer.result()]


def refuse_if_living(session: Session, experiment: str) -> None:
    """Raise LabError, saying where, if an experiment owns anything; note in the registry what is gone by now.

    What the registry takes for living, or for possibly made, is looked up in AWS, which has the last word.
    """
    known = session.holdings(experiment)
    if not known.living and not known.unsettled:
        return
    regions = {r.region for r in known.living} | {str(intent.region) for intent in known.unsettled}
    if found := living(session, experiment, regions):
        shown = ", ".join(f"{r} {r.state}, since {r.since}".rstrip(" ,") for r in found)
        raise LabError(f"{experiment} already lives: {shown}; `make teardown EXP={experiment}` ends it")
    settled = [intent.id for intent in known.unsettled]
    session.recorder.note(**{GONE: [r.id for r in known.living], SETTLED: settled})
