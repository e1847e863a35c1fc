"""Calls without a client token, such as CreateSnapshot: an earlier attempt's result is looked for first.

Such a call uses a client that never retries, as a retry could create a second resource.
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
from ec2lab.resources.live_in_aws import POLL, within_consistency_window
from ec2lab.session import Session

POLL_QUOTA = 1.0, 60.0  # seconds between tries after `too many at once`, which may last as long as the other work
MAX_AMBIGUOUS = 8

T = TypeVar("T")


def find_or_create(
    session: Session,
    attempt: tuple[str, str, Mapping[str, str]],
    find: Callable[[], T | None],
    make: Callable[[], T],
    waits: Callable[[ApiError], None],
) -> tuple[T, bool]:
    """Return what `find` finds, else what `make` creates, and whether it was created now.

    `attempt` has the call's operation, region and tags. While AWS says `too many at once`, `waits` is called and the
    call is repeated later; a lost response is resolved by looking. Raises ClientError on any other error, UserError
    where the outcome stays unknown.
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
                raise UserError(f"{attempt[0]}: asked {unclear} times without a clear response, last {error}") from None
        waits(error)
        return None

    return wait_until(once, session.pause, POLL_QUOTA)


def _wait_for_earlier(session: Session, operation: str, region: str, tags: Mapping[str, str]) -> None:
    """Wait until an earlier attempt's result is visible, or must be.

    AWS may take some seconds to show what it created. While this registry has a younger intent with the same operation,
    region and tags, and AWS shows nothing of it, a second call could create a second resource.
    """
    for intent in attempts(session.records.current(tags.get(EXPERIMENT)), operation, region, tags):
        wait_until(partial(_is_clear, session, intent), session.pause, POLL)


def attempts(records: Iterable[Record], operation: str, region: str, tags: Mapping[str, str]) -> list[Record]:
    """Return the intents whose call may have created something with `tags`: all that were not certainly rejected."""
    asked = unresolved_intents(records, lambda record: (record.operation, record.region) == (operation, region))
    return [
        record
        for record in asked
        if any(tags.items() <= put.items() for put in requested_tag_sets(record.request or {}))
    ]


def unresolved_intents(records: Iterable[Record], what: Callable[[Record], bool]) -> list[Record]:
    """Return the intents of some calls that were not certainly rejected and are not known to have failed."""
    found: dict[str, Record] = {}
    for record in records:
        if record.event is Event.INTENT and what(record):
            found[record.id] = record
        elif record.parent_id in found and outcome_of(record) in (Outcome.NOTHING_MADE, Outcome.NOT_NOW):
            del found[record.parent_id]
    return list(found.values())


def requested_tag_sets(request: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the tags that a request puts on each resource."""
    asked = [specification["ResourceType"] for specification in request.get("TagSpecifications", ())]
    return [from_aws(request.get("Tags")), *(tags_in_request(request, resource_type) for resource_type in asked)]


def _is_clear(session: Session, intent: Record) -> bool:
    """Say whether AWS shows an intent's result, or would by now."""
    return not within_consistency_window(session, intent.time) or any(
        resource_type.tagged(session.cloud, str(intent.region), RECORD, token_of(intent))
        for resource_type in session.resource_types.values()
        if intent.operation in resource_type.created_by
    )
