"""Calls without a client token: what an earlier attempt may have made is looked for before the call is made again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from scripts.core.living import POLL, is_young
from scripts.core.record import Event, Record
from scripts.core.resources import outcome_is_known
from scripts.core.session import Session
from scripts.core.tags import RECORD, requested_tags


def wait_for_earlier_attempts(session: Session, operation: str, region: str, tags: Mapping[str, str]) -> None:
    """Wait until what an earlier attempt may have made can be seen in AWS, or is too long ago.

    AWS may take some seconds to show what it has made. As long as this registry has an intent of the same operation,
    region and tags that is younger than that, and AWS shows nothing of it, a second call could make a second thing.
    """
    for attempt in attempts(session.registry.records(), operation, region, tags):
        while is_young(session, attempt.time) and not _shown(session, attempt):
            session.pause(POLL)


def attempts(records: Iterable[Record], operation: str, region: str, tags: Mapping[str, str]) -> list[Record]:
    """Return the intents whose call may have made something that carries `tags`: all but those surely refused."""
    found: dict[str, Record] = {}
    for record in records:
        if record.event is Event.INTENT and (record.operation, record.region) == (operation, region):
            request = record.request or {}
            asked = [s["ResourceType"] for s in request.get("TagSpecifications", ())]
            if any(tags.items() <= requested_tags(request, kind).items() for kind in asked):
                found[record.id] = record
        elif record.of in found and outcome_is_known(record):
            del found[record.of]
    return list(found.values())


def _shown(session: Session, intent: Record) -> bool:
    return any(
        kind.tagged(session.cloud, str(intent.region), RECORD, intent.id)
        for kind in session.kinds.values()
        if intent.operation in kind.created_by
    )
