"""Sends a RunInstances request and waits until the instances run. Every rejection becomes one type of error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from ec2lab import clock
from ec2lab.aws.describe_batcher import DescribeBatcher
from ec2lab.aws.error_codes import TRANSIENT, ApiError, ErrorCategory
from ec2lab.aws.errors import AWS_ERRORS, api_error
from ec2lab.aws.token_bucket import TokenBucket
from ec2lab.errors import UserError
from ec2lab.instance_state import DOWN, Instance, InstanceState, state_of, state_reason_of
from ec2lab.polling import attempts, jittered
from ec2lab.registry.evidence import NOT_NOW
from ec2lab.registry.instance_timeline import market_of
from ec2lab.registry.record import new_id

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

PATIENCE = 15 * 60
"""Seconds until an instance must run. EC2's own waiter gives up after 10 minutes; large GPU instances take longer."""
TRIES = 8  # number of attempts per pool while the response is ambiguous or throttled
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 20.0
"""Seconds between attempts, with exponential backoff and full jitter
(https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/)."""
POLL = 0.2, 5.0
"""Seconds between polls of a pending instance: short at first, then longer to spare EC2's request bucket."""


class RequestRejected(Exception):
    """AWS rejected the request, at once or after the instance was pending."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(str(error))
        self.error = error


class Unclear(UserError):
    """It is unknown whether an instance was created; `error` is the last of several ambiguous responses."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(f"RunInstances: no clear response after {TRIES} attempts; the last was {error}")
        self.error = error


def ask(
    ec2: EC2Client, request: Mapping[str, Any], token: str, bucket: TokenBucket, *, renew: bool = True
) -> list[Instance]:
    """Send a RunInstances request until its result is certain. The client token makes retries safe.

    `ec2` must not retry by itself. `bucket` limits the request rate. `renew` returns a new token if the instance of the
    first has terminated. Raises RequestRejected; Unclear if the result stays ambiguous.
    """
    error, unclear = None, False
    for pause in [0.0, *islice(jittered(FIRST_PAUSE, LONGEST_PAUSE), TRIES - 1)]:
        bucket.pause(pause)
        sent = bucket.take()
        try:
            made: list[Instance] = list(ec2.run_instances(**request, ClientToken=token)["Instances"])
        except AWS_ERRORS as problem:
            error = api_error(problem, market=market_of(request), instance_type=str(request.get("InstanceType", "")))
        else:
            bucket.granted()
            return made
        bucket.on_throttled(sent) if error.category is ErrorCategory.THROTTLED else bucket.granted()
        unclear = unclear or error.category is ErrorCategory.AMBIGUOUS
        if error.category is ErrorCategory.CLIENT_TOKEN_REUSED and renew:
            token = new_id()
        elif unclear and error.code in NOT_NOW:  # it concerns only this attempt
            break
        elif error.category not in TRANSIENT:
            raise RequestRejected(error)
    if error is None:
        raise AssertionError("nothing was asked")
    raise Unclear(error) if unclear else RequestRejected(error)  # throttled every time: nothing was created


@dataclass
class PendingInstances:
    batcher: DescribeBatcher
    pending: set[str]
    running: list[Instance] = field(default_factory=list)
    dead: list[ApiError] = field(default_factory=list)  # why others terminated while pending: late rejections

    def poll(self) -> None:
        for found in self.batcher.describe(sorted(self.pending)):
            identity, state = found["InstanceId"], state_of(found)
            if state is InstanceState.PENDING:
                continue
            self.pending.discard(identity)
            if state is InstanceState.RUNNING:
                self.running.append(found)
            elif state in DOWN:
                raise UserError(f"{identity} was stopped while it was starting")
            else:
                reason = state_reason_of(found)
                self.dead.append(ApiError(reason.code or state, reason.message, late=True))


def wait_until_gone(batcher: DescribeBatcher, ids: Iterable[str], wait: Callable[[float], None]) -> set[str]:
    """Wait until instances have terminated; return those that are still shutting down after the timeout."""
    left = set(ids)
    for _ in attempts(wait, POLL, PATIENCE):
        left = {
            found["InstanceId"] for found in batcher.describe(left) if state_of(found) is not InstanceState.TERMINATED
        }
        if not left:
            break
    return left


def wait_until_running(
    all_starting: Sequence[PendingInstances], waiting: Callable[[float], None], wait: Callable[[float], None]
) -> None:
    """Wait until each runs or has terminated; `waiting` gets the seconds so far. Raises UserError on a timeout."""
    began = clock.monotonic()
    for last in attempts(wait, POLL, PATIENCE):
        for starting in all_starting:
            if starting.pending:
                starting.poll()
        pending = sorted(identity for starting in all_starting for identity in starting.pending)
        if not pending:
            return
        waiting(clock.monotonic() - began)
        if last:
            raise UserError(f"{', '.join(pending)}: still pending after {PATIENCE // 60} minutes")
