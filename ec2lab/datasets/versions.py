"""Versions of datasets: the number that a new snapshot gets, one at a time, and the wait until it is completed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

from ec2lab import clock
from ec2lab.aws.error_codes import TRANSIENT
from ec2lab.aws.errors import AWS_ERRORS, AwsError, api_error
from ec2lab.aws.tags import DATASET, VERSION
from ec2lab.datasets.dataset import DataSnapshot, list_snapshots
from ec2lab.errors import UserError
from ec2lab.polling import attempts, wait_until
from ec2lab.registry.base import LockHeld
from ec2lab.registry.record import Record
from ec2lab.resources.idempotency import requested_tag_sets, unresolved_intents
from ec2lab.resources.live_in_aws import known_regions
from ec2lab.session import Session

CREATE_OPERATIONS = ("CreateSnapshot", "StartSnapshot")  # the calls that create a version; a copy has its original's
LOCK_TIMEOUT = 120.0
"""Seconds. A number is on its snapshot within a few; a frozen file system unfreezes after 90."""
LOCK_POLL = 0.1, 2.0


@contextmanager
def numbered(
    session: Session, dataset: str, wanted: str | None, region: str, *, may_exist: bool = False
) -> Iterator[str]:
    """Yield the version for a snapshot to be created meanwhile in a region: `wanted`, or the next number.

    Other creators of the same dataset wait for that. A number is taken once it is recorded, as AWS may not show its
    snapshot yet. Raises UserError where the version exists, unless allowed.
    """
    with _version_lock(session, dataset):
        regions = dict.fromkeys([region, *known_regions(session)])
        asked = [session.threads.submit(list_snapshots, session.cloud, place, dataset) for place in regions]
        there = [snapshot for answer in asked for snapshot in answer.result()]  # of all, or a number is assigned twice
        if not may_exist and (taken := [s for s in there if s.version == wanted and s.state != "error"]):
            raise UserError(f"VERSION: {taken[0].name} exists already: {taken[0].id} in {taken[0].region}")
        shown = [snapshot.version for snapshot in there]
        yield wanted or next_version([*shown, *given_out(session.records.current(), dataset)])


def next_version(versions: Iterable[str]) -> str:
    """Return the number after the highest numeric version: "1" for the first."""
    return str(max((int(version) for version in versions if version.isdecimal()), default=0) + 1)


def given_out(records: Iterable[Record], dataset: str) -> list[str]:
    """Return the versions of a dataset in requests for snapshots that were not certainly rejected."""
    asked = unresolved_intents(records, lambda record: record.operation in CREATE_OPERATIONS)
    put = [tags for record in asked for tags in requested_tag_sets(record.request or {})]
    return [tags[VERSION] for tags in put if tags.get(DATASET) == dataset and VERSION in tags]


@contextmanager
def _version_lock(session: Session, dataset: str) -> Iterator[None]:
    with ExitStack() as held:
        for last in attempts(session.pause, LOCK_POLL, LOCK_TIMEOUT):
            try:
                held.enter_context(session.registry.lock_experiment(f"versions-of-{dataset}", session.script))
            except LockHeld:
                if last:
                    raise
            else:
                break
        yield


SNAPSHOT_POLL = 0.2, 30.0  # seconds between polls
SILENCE_TIMEOUT = 15 * 60  # seconds without a response after which waiting ends; AWS goes on with the snapshot


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
            found = _describe(session, region, identity)
        except AWS_ERRORS as problem:
            if not _is_transient(problem) or clock.monotonic() - answered > SILENCE_TIMEOUT:
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

    return wait_until(completed, session.pause, SNAPSHOT_POLL)


def _describe(session: Session, region: str, identity: str) -> DataSnapshot | None:
    wanted = [{"Name": "snapshot-id", "Values": [identity]}]
    found = session.resource_types["snapshot"].find(session.cloud, region, wanted)
    return next((DataSnapshot.of(snapshot, region) for snapshot in found), None)


def _is_transient(problem: AwsError) -> bool:
    """Say whether the next poll may succeed: a night's wait outlives a lost connection."""
    return api_error(problem).category in TRANSIENT


def _raise_if_failed(found: DataSnapshot) -> None:
    if found.state == "error":
        raise UserError(f"{found.name}: {found.id} failed: {found.failure or 'AWS gives no reason'}")
