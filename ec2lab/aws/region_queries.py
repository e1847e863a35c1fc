"""Queries several regions in parallel. A region that denies, truncates or does not respond affects no other.

Each query has a deadline. After it, the command continues without that region, and names it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Thread
from typing import Generic, TypeVar

from botocore.exceptions import ParamValidationError

from ec2lab import clock
from ec2lab.aws.errors import AWS_ERRORS, reason
from ec2lab.errors import UserError
from ec2lab.progress import working

Found = TypeVar("Found")
Query = Callable[[], Found]
Key = tuple[str, str]  # a region, and the name of a query
TICK = 1.0  # seconds between checks of the clock, and until a person is shown what is pending
LEFT_ALONE = 30.0
"""Seconds for which a region that did not respond is not queried again: a command makes several queries."""
CONCURRENCY = 16
"""Concurrent queries of one command, without abandoned ones; EC2's own buckets refill at 20 a second and more
(https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html)."""


class NoResponse(UserError):
    """AWS did not respond in time."""


@dataclass(slots=True)
class Responses(Generic[Found]):
    """The responses of the regions, and for those without one, the reasons."""

    found: dict[Key, Found] = field(default_factory=dict)
    failures: dict[Key, Exception] = field(default_factory=dict)

    @property
    def unseen(self) -> dict[str, str]:
        """By region, why it did not respond, or not completely."""
        reasons: dict[str, str] = {}
        for (region, _), problem in self.failures.items():
            reasons.setdefault(region, reason(problem))
        return reasons


def not_seen(unseen: Mapping[str, str]) -> list[str]:
    """Return one sentence for each reason why regions did not respond."""
    regions: dict[str, list[str]] = {}
    for region, why in unseen.items():
        regions.setdefault(why, []).append(region)
    return [f"{', '.join(some)}: not seen: {why}" for why, some in regions.items()]


@dataclass(slots=True)
class _Sent:
    key: Key
    left: float  # seconds until its deadline


class RegionQueries:
    """Sends the queries of one command. Thread-safe."""

    def __init__(self, timeout: float, expect_credentials: Callable[[], None] = lambda: None) -> None:
        self.timeout = timeout  # seconds until a read-only command continues without a region
        self._expect_credentials = expect_credentials
        self.has_given_up = False  # whether a query was abandoned and may still be pending
        self._silent: dict[str, tuple[Exception, float]] = {}
        """Regions that did not respond, and when that was detected."""
        self._slots = BoundedSemaphore(CONCURRENCY)

    def run(self, queries: Mapping[Key, Query[Found]]) -> Responses[Found]:
        """Return all responses that arrive in time. Raises errors that come neither from AWS nor from the network."""
        with suppress(UserError):  # each query reports that; no deadline interrupts entering an MFA code
            self._expect_credentials()
        responses: Responses[Found] = Responses(failures=self._left_alone(queries))
        waiting = deque(key for key in _by_turns(queries) if key not in responses.failures)
        sent: dict[Future[Found], _Sent] = {}
        with working("waiting for") as show:
            show(_named(()))
            try:
                while waiting or sent:
                    while waiting and self._slots.acquire(blocking=not sent):
                        key = waiting.popleft()
                        sent[begin(queries[key])] = _Sent(key, self.timeout)
                    waited = clock.wait_for(list(sent), min(TICK, *(one.left for one in sent.values())))
                    for future, one in list(sent.items()):
                        one.left = max(0.0, one.left - waited)
                        if future.done() or not one.left:
                            del sent[future]
                            self._slots.release()
                            self._take(future, one.key, responses)
                    waiting = deque(_still_asked(waiting, responses))
                    show(_named({one.key[0] for one in sent.values()}))
            finally:
                for _ in sent:
                    self._slots.release()
        found, failures = responses.found, responses.failures
        responses.found = {key: found[key] for key in queries if key in found}
        responses.failures = {key: failures[key] for key in queries if key in failures}
        return responses

    def _take(self, future: Future[Found], key: Key, responses: Responses[Found]) -> None:
        try:
            responses.found[key] = _result(future, self.timeout)
        except ParamValidationError:
            raise  # a bug of ours
        except (*AWS_ERRORS, UserError) as problem:
            responses.failures[key] = problem
            if isinstance(problem, NoResponse):
                self.has_given_up = True
                self._silent[key[0]] = (problem, clock.monotonic())

    def _left_alone(self, queries: Iterable[Key]) -> dict[Key, Exception]:
        """Return the errors for regions that recently did not respond and are not queried now."""
        now = clock.monotonic()
        silent = {region: why for region, (why, since) in list(self._silent.items()) if now - since < LEFT_ALONE}
        return {key: silent[key[0]] for key in queries if key[0] in silent}

    def run_one(self, query: Query[Found]) -> Found:
        """Return the response to one query. Raises NoResponse, or the query's error."""
        try:
            return in_time(query, self.timeout)
        except NoResponse:
            self.has_given_up = True
            raise


def in_time(query: Query[Found], seconds: float) -> Found:
    """Return the response to one query. Raises NoResponse after the deadline, or the query's error."""
    future, left = begin(query), seconds
    with working("waiting for AWS"):
        while not future.done() and left > 0:
            left -= clock.wait_for([future], min(TICK, left))
    return _result(future, seconds)


def begin(query: Query[Found]) -> Future[Found]:
    """Make a call in a daemon thread, in the caller's context, so that a hanging call does not delay the exit."""
    future: Future[Found] = Future()
    context = copy_context()

    def call() -> None:
        try:
            found = context.run(query)
        except BaseException as problem:  # noqa: BLE001 - raised where the response is read
            future.set_exception(problem)
        else:
            future.set_result(found)

    Thread(target=call, daemon=True).start()
    return future


def awaited(asked: Mapping[Key, Future[Found]]) -> dict[Key, Found]:
    """Return all responses, however long they take; a terminal shows what is pending. Raises the first error."""
    found: dict[Key, Found] = {}
    pending = dict(asked)
    with working("waiting for") as show:
        show(_named(()))
        while pending:
            clock.wait_for(list(pending.values()), TICK)
            show(_named({region for region, _ in pending}))
            done = [key for key, one in pending.items() if one.done()]
            found |= {key: pending.pop(key).result() for key in done}
    return {key: found[key] for key in asked}


NAMED = 3  # number of regions that fit into a line


def _named(regions: Collection[str]) -> str:
    if len(regions) > NAMED:
        return f"{len(regions)} regions"
    return ", ".join(sorted(regions)) or "AWS"


def _result(future: Future[Found], seconds: float) -> Found:
    if not future.done():
        raise NoResponse(f"no response within {seconds:g} s (lab.toml: region_timeout)")
    return future.result()


def _by_turns(queries: Iterable[Key]) -> Iterator[Key]:
    """Yield the first query of each region, then the second of each, so that a silent region is detected early."""
    regions: dict[str, list[Key]] = {}
    for key in queries:
        regions.setdefault(key[0], []).append(key)
    for turn in range(max(map(len, regions.values()), default=0)):
        yield from (keys[turn] for keys in regions.values() if turn < len(keys))


def _still_asked(waiting: Iterable[Key], responses: Responses[Found]) -> Iterator[Key]:
    """Yield the remaining queries, without those to regions that do not respond."""
    silent = {key[0]: why for key, why in responses.failures.items() if isinstance(why, NoResponse)}
    for key in waiting:
        if key[0] in silent:
            responses.failures[key] = silent[key[0]]
        else:
            yield key
