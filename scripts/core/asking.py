"""Asking AWS for a machine, and waiting until it runs: every way in which that can be refused becomes one error."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from scripts.core.errors import LabError
from scripts.core.record import new_id
from scripts.core.refusals import Meaning, Refusal

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

PATIENCE = 15 * 60
"""Seconds to wait for a machine to run. EC2's own waiter gives up after 10 minutes, large GPU machines take longer."""
TRIES = 8
"""How often one pool is asked while the answer is unclear or `too fast`."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 20.0
"""Seconds between those tries, growing with full jitter
(https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/)."""
FIRST_POLL, LONGEST_POLL = 0.2, 5.0
"""Seconds between looks at a starting machine: early and often at first, then sparing EC2's request bucket."""

Instance = Mapping[str, Any]


class Refused(Exception):
    """AWS said no, at once or late."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def ask(ec2: EC2Client, request: Mapping[str, Any], token: str) -> list[Instance]:
    """Send one RunInstances request until its answer is clear; the token makes asking again safe.

    `ec2` must not retry by itself. Raises Refused; LabError where it stays unclear whether a machine was made.
    """
    refusal = None
    for pause in [0.0, *_pauses()]:
        time.sleep(pause)
        try:
            return list(ec2.run_instances(**request, ClientToken=token)["Instances"])
        except (ClientError, BotoCoreError, ResponseParserError) as problem:
            refusal = refusal_in(problem)
        if refusal.meaning is Meaning.TOKEN_SPENT:
            token = new_id()
        elif refusal.meaning not in (Meaning.TOO_FAST, Meaning.UNKNOWN_OUTCOME):
            raise Refused(refusal)
    raise LabError(f"RunInstances: asked {TRIES} times without a clear answer, the last was {refusal}")


def refusal_in(problem: ClientError | BotoCoreError | ResponseParserError) -> Refusal:
    """Return the refusal that an exception of a call stands for. Errors from before anything is sent are raised."""
    if isinstance(problem, ClientError):
        error, metadata = problem.response.get("Error", {}), problem.response.get("ResponseMetadata", {})
        return Refusal(error.get("Code", "Unknown"), error.get("Message", ""), metadata.get("HTTPStatusCode"))
    if type(problem).__name__ in NOT_SENT:
        raise problem
    return Refusal(type(problem).__name__, str(problem).partition("\n")[0])


NOT_SENT = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ParamValidationError",
     "TokenRetrievalError", "UnauthorizedSSOTokenError", "SSOTokenLoadError"}
)  # fmt: skip


def _pauses() -> Iterator[float]:
    """Yield the seconds to wait before each further try."""
    for tries in range(TRIES - 1):
        yield random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2**tries))  # noqa: S311 - jitter is no secret


def wait_until_running(ec2: EC2Client, instance: str) -> Instance:
    """Return the description of a machine once it runs. Raises Refused when it ends instead, LabError when late."""
    deadline, poll = time.monotonic() + PATIENCE, FIRST_POLL
    while time.monotonic() < deadline:
        found = _described(ec2, instance)
        state = found["State"]["Name"] if found else "pending"
        if found and state == "running":
            return found
        if found and state != "pending":
            reason = found.get("StateReason", {})
            raise Refused(Refusal(reason.get("Code", state), reason.get("Message", ""), late=True))
        time.sleep(poll)
        poll = min(LONGEST_POLL, poll * 1.5)
    raise LabError(f"{instance} is still pending after {PATIENCE // 60} minutes")


def _described(ec2: EC2Client, instance: str) -> Instance | None:
    """Describe a machine; None while AWS does not know it yet, which it may say for seconds after making it."""
    try:
        reservations = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
    except ClientError as refusal:
        if refusal.response["Error"]["Code"] != "InvalidInstanceID.NotFound":
            raise
        return None
    return reservations[0]["Instances"][0] if reservations else None
