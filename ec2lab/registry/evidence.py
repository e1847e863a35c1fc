"""What proves the result of a call whose response was lost: one table for errors, one rule for resources. Pure.

An intent to create is resolved only by

- its response, or the response to the same request sent again with its ClientToken;
- an error that implies that nothing was created (Outcome);
- all resources that it requested, seen in AWS with its token, of a type that the call creates directly. An instance's
  volumes carry the token of RunInstances too, and AWS may show them first. They prove that the call was carried out,
  but not that everything it created is visible;
- time: AWS has had long enough to show whatever exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any

from ec2lab.aws.error_codes import ACCESS_DENIED_CODES, NEVER_SENT, WAITING_HELPS, ErrorCategory, classify
from ec2lab.registry.record import Event, Record, parse_time
from ec2lab.resource import Resource, ResourceType


class Outcome(Enum):
    """What the result of a call proves."""

    DONE = "it was carried out, and so was every earlier one with its ClientToken: they are one request"
    NOTHING_MADE = "it made nothing, nor did any earlier one with its ClientToken"
    NOT_NOW = "it made nothing; an earlier one with its ClientToken may have"
    NOTHING = "it may have been carried out"


NOT_NOW = frozenset(
    {
        *NEVER_SENT,
        *ACCESS_DENIED_CODES,
        # The caller is checked before the request, and the token is part of the request.
        "AuthFailure", "Blocked", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature",
        "InvalidClientTokenId", "InvalidSignatureException", "MissingAuthenticationToken", "OptInRequired",
        "PendingVerification", "RequestExpired", "SignatureDoesNotMatch", "UnrecognizedClientException",
        # The token was used by a request with other parameters.
        "IdempotentParameterMismatch",
    }
)  # fmt: skip
"""Errors that prove nothing about an earlier request. Throttling is another."""


EARLIER = timedelta(minutes=6)
"""How far AWS's clock may be behind this computer's: it rejects requests that differ by more than five minutes
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html)."""
LATER = timedelta(minutes=20)
"""Latest creation after a request: its signature expires after five minutes, botocore sends it up to five times with
waits of up to a minute, and the clocks may differ."""


@dataclass(slots=True)
class Call:
    """A call, identified by the tag that it puts on what it creates."""

    token: str  # that tag: the ClientToken, or the intent's id if the call takes none
    operation: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    times: list[str] = field(default_factory=list)  # when each attempt was sent, or its response arrived
    answered: bool = False  # whether a response is recorded, which names what was created
    made: set[tuple[str, str]] = field(default_factory=set)
    """(resource type, id) of what the response names, or of what was found and recorded later."""

    def may_have_made(self, since: str) -> bool:
        """Return whether the call may have created a resource, by AWS's creation time."""
        if not self.times:
            return False
        first, last = min(map(parse_time, self.times)), max(map(parse_time, self.times))
        return first - EARLIER <= parse_time(since) <= last + LATER


def outcome_of(record: Record) -> Outcome:
    """Return what a response or an error proves about its intent.

    An error proves nothing if botocore sent the request more than once: the first may have succeeded, and its response
    may be lost.
    """
    if record.event is Event.RESPONSE:
        return Outcome.DONE
    error = record.error
    if error is None:
        return Outcome.NOTHING
    code = str(error.get("code"))
    if code in NEVER_SENT:
        return Outcome.NOT_NOW
    category = classify(code, str(error.get("message")), error.get("http_status"))
    if error.get("retries") or category is ErrorCategory.AMBIGUOUS:
        return Outcome.NOTHING
    return Outcome.NOT_NOW if code in NOT_NOW or category in WAITING_HELPS else Outcome.NOTHING_MADE


def token_of(record: Record) -> str:
    """Return the tag of a call's resources: its ClientToken, or its intent's id if it has none."""
    return str((record.request or {}).get("ClientToken", record.parent_id or record.id))


def closed_by(record: Record, open_intents: Mapping[str, Record]) -> set[str]:
    """Return the ids of the open intents that a response or an error resolves."""
    says = outcome_of(record)
    if record.parent_id is None or says is Outcome.NOTHING:
        return set()
    token = (record.request or {}).get("ClientToken")
    if token is None or says is Outcome.NOT_NOW:
        return {record.parent_id}
    return {record.parent_id} | {intent.id for intent in open_intents.values() if token_of(intent) == token}


def makes(intent: Record, resource_types: Mapping[str, ResourceType]) -> list[str]:
    """Return the resource types that an intent's operation creates directly."""
    return [
        resource_type.name for resource_type in resource_types.values() if intent.operation in resource_type.created_by
    ]


def creating_operations(resource_types: Mapping[str, ResourceType]) -> set[str]:
    return {operation for resource_type in resource_types.values() for operation in resource_type.created_by}


def requested_count(intent: Record) -> int:
    """Return the maximum number of resources that an intent requested."""
    return int((intent.request or {}).get("MaxCount", 1))


def is_shown(intent: Record, seen: Iterable[Resource], resource_types: Mapping[str, ResourceType]) -> bool:
    """Return whether everything that an intent can have created is among the resources that AWS shows, or has shown."""
    makers = makes(intent, resource_types)
    own = {r.id for r in seen if r.record == token_of(intent) and r.resource_type in makers}
    return len(own) >= requested_count(intent)


def unresolved(
    intents: Iterable[Record], seen: Iterable[Resource], resource_types: Mapping[str, ResourceType]
) -> list[Record]:
    """Return the intents that no resource resolves."""
    every = list(seen)
    return [intent for intent in intents if not is_shown(intent, every, resource_types)]


def stand_alone(
    resources: Iterable[Resource], intents: Iterable[Record], resource_types: Mapping[str, ResourceType]
) -> list[Resource]:
    """Return the resources that intents request directly, not an instance's volumes, which come with it."""
    made = {(token_of(intent), name) for intent in intents for name in makes(intent, resource_types)}
    return [resource for resource in resources if (resource.record, resource.resource_type) in made]
