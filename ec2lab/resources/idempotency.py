"""Calls without a client token (CreateSnapshot, say): what an earlier attempt may have made is looked for first.

Such a call is sent by a client that never repeats it by itself: a repetition could make a second thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from ec2lab.aws.error_codes import WAITING_HELPS, ApiError, ErrorCategory
from ec2lab.aws.errors import AWS_ERRORS, api_error
from ec2lab.aws.tags import EXPERIMENT, RECORD, from_aws, tags_in_request
from ec2lab.errors import UserError
from ec2lab.polling import wait_until
from ec2lab.registry.evidence import Outcome, outcome_of, token_of
from ec2lab.registry.record import Event, Record
from ec2lab.resources.live_resources import POLL, within_consistency_window
from ec2lab.session import Session

POLL_QUOTA = 1.0, 60.0
"""Seconds until AWS is asked again after `too many at once`, which may last for as long as the others take."""
MAX_AMBIGUOUS = 8

T = TypeVar("T")


def find_or_create(
    session: Session,
    attempt: tuple[str, str, Mapping[str, str]],
    find: Callable[[], T | None],
    make: Callable[[], T],
    waits: Callable[[ApiError], None],
) -> tuple[T, bool]:
    """Return what `find` finds, or else what `make` makes, and whether it was made now.

    `attempt` is the call's operation, region, and the tags that tell what it makes. While AWS says `too many at once`,
    `waits` hears it and the call is made again later; an answer that was lost is settled by looking. Raises ClientError
    on any other refusal, UserError where it stays unclear.
    """
    unclear = 0

    def once() -> tuple[T, bool] | None:
        nonlocal unclear
        _wait_for_earlier(session, *attempt)
        if (there := find()) is not None:
            return there, False
        try:
            return make(), True
        except AWS_ERRORS as problem:
            error = api_error(problem)
            if error.category is ErrorCategory.AMBIGUOUS:
                unclear += 1
            elif error.category not in WAITING_HELPS:
                raise
            if unclear >= MAX_AMBIGUOUS:
                raise UserError(f"{attempt[0]}: asked {unclear} times without a clear answer, last {error}") from None
        waits(error)
        return None

    return wait_until(once, session.pause, POLL_QUOTA)


def _wait_for_earlier(session: Session, operation: str, region: str, tags: Mapping[str, str]) -> None:
    """Wait until what an earlier attempt may have made can be seen in AWS, or is too long ago.

    AWS may take some seconds to show what it has made. As long as this registry has an intent of the same operation,
    region and tags that is younger than that, and AWS shows nothing of it, a second call could make a second thing.
    """
    for intent in attempts(session.records.current(tags.get(EXPERIMENT)), operation, region, tags):
        wait_until(partial(_is_clear, session, intent), session.pause, POLL)


def attempts(records: Iterable[Record], operation: str, region: str, tags: Mapping[str, str]) -> list[Record]:
    """Return the intents whose call may have made something that carries `tags`: all but those surely refused."""
    asked = unresolved_intents(records, lambda record: (record.operation, record.region) == (operation, region))
    return [
        record
        for record in asked
        if any(tags.items() <= put.items() for put in requested_tag_sets(record.request or {}))
    ]


def unresolved_intents(records: Iterable[Record], what: Callable[[Record], bool]) -> list[Record]:
    """Return the intents of some calls, but for those that were surely refused or are known to have failed."""
    found: dict[str, Record] = {}
    for record in records:
        if record.event is Event.INTENT and what(record):
            found[record.id] = record
        elif record.parent_id in found and outcome_of(record) in (Outcome.NOTHING_MADE, Outcome.NOT_NOW):
            del found[record.parent_id]
    return list(found.values())


def requested_tag_sets(request: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the tags that a call's request puts on each thing that it makes."""
    asked = [specification["ResourceType"] for specification in request.get("TagSpecifications", ())]
    return [from_aws(request.get("Tags")), *(tags_in_request(request, resource_type) for resource_type in asked)]


def _is_clear(session: Session, intent: Record) -> bool:
    """Say whether AWS shows what an intent made, or would have shown it by now."""
    return not within_consistency_window(session, intent.time) or any(
        resource_type.tagged(session.cloud, str(intent.region), RECORD, token_of(intent))
        for resource_type in session.resource_types.values()
        if intent.operation in resource_type.created_by
    )
