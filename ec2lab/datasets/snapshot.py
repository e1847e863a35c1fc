"""Waits until a snapshot is completed."""

from __future__ import annotations

from collections.abc import Callable

from ec2lab import clock
from ec2lab.aws.error_codes import TRANSIENT
from ec2lab.aws.errors import AWS_ERRORS, AwsError, api_error
from ec2lab.datasets.dataset import DataSnapshot
from ec2lab.errors import UserError
from ec2lab.polling import wait_until
from ec2lab.session import Session

POLL = 0.2, 30.0
"""Seconds between polls."""
PATIENCE = 15 * 60
"""Seconds without a response after which waiting ends; AWS goes on with the snapshot."""


def wait_until_completed(
    session: Session, region: str, identity: str, report: Callable[[DataSnapshot], None]
) -> DataSnapshot:
    """Return a snapshot once it is completed; `report` is called at each poll.

    Raises UserError where it failed or was deleted; the last error where AWS no longer responds.
    """
    answered, seen = clock.monotonic(), False
    began = answered

    def completed() -> DataSnapshot | None:
        nonlocal answered, seen
        try:
            found = _look(session, region, identity)
        except AWS_ERRORS as problem:
            if not _is_transient(problem) or clock.monotonic() - answered > PATIENCE:
                raise
            return None
        answered = clock.monotonic()
        if found:
            seen = True
            report(found)
            _raise_if_failed(found)
        elif seen or answered - began > session.cloud.consistency_seconds:
            raise UserError(f"{identity} ({region}): it no longer exists in AWS; somebody deleted it")
        return found if found and found.completed else None

    return wait_until(completed, session.pause, POLL)


def _look(session: Session, region: str, identity: str) -> DataSnapshot | None:
    wanted = [{"Name": "snapshot-id", "Values": [identity]}]
    found = session.resource_types["snapshot"].find(session.cloud, region, wanted)
    return next((DataSnapshot.of(snapshot, region) for snapshot in found), None)


def _is_transient(problem: AwsError) -> bool:
    """Say whether the next poll may succeed: a night's wait outlives a lost connection."""
    return api_error(problem).category in TRANSIENT


def _raise_if_failed(found: DataSnapshot) -> None:
    if found.state == "error":
        raise UserError(f"{found.name}: {found.id} failed: {found.failure or 'AWS says no more'}")
