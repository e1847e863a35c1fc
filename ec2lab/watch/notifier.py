"""Notifiers carry what happens to a watched experiment to where people are.

Each is told in a thread of its own, so that none that fails or hangs holds anything up.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from queue import Empty, SimpleQueue
from typing import ClassVar

from ec2lab import clock
from ec2lab.errors import PluginFailed
from ec2lab.events import Event
from ec2lab.plugin_guard import ResultCheck
from ec2lab.plugins import Plugins
from ec2lab.printable import shortened

LIMIT = 10.0  # seconds a notifier may take for one event; after that it gets no more


class Notifier(ABC):
    name: ClassVar[str]
    results: ClassVar[Mapping[str, ResultCheck]] = {}

    @abstractmethod
    def notify(self, event: Event) -> None:
        """Deliver an event. May be slow and may raise anything: that is reported, and the watch goes on."""


def notifiers(plugins: Plugins) -> list[Notifier]:
    return list(plugins.named("lab_notifiers", Notifier).values())


class _NotifierWorker:
    def __init__(self, notifier: Notifier) -> None:
        self.notifier = notifier
        self.waiting: SimpleQueue[Event] = SimpleQueue()
        self.unfinished = 0
        self.given_up = False
        self.failures: SimpleQueue[str] = SimpleQueue()
        self._since: float | None = None
        self._idle = threading.Condition()
        # A daemon: a notifier that hangs must not keep the process alive.
        self._thread = threading.Thread(target=self._deliver, name=f"notifier {notifier.name}", daemon=True)
        self._thread.start()

    def tell(self, event: Event) -> None:
        if not self.given_up:
            with self._idle:
                self.unfinished += 1
            self.waiting.put(event)

    def is_slow(self, limit: float) -> bool:
        since = self._since
        return since is not None and clock.monotonic() - since > limit

    def wait(self, seconds: float) -> bool:
        """Wait until everything is delivered; False on timeout."""
        with self._idle:
            return self._idle.wait_for(lambda: self.unfinished == 0, timeout=seconds)

    def _deliver(self) -> None:
        while True:
            event = self.waiting.get()
            self._since = clock.monotonic()
            try:
                self.notifier.notify(event)
            except BaseException as problem:  # noqa: BLE001 - a plugin may fail in any way, SystemExit among them
                reason = shortened(" ".join(_reason(problem).split()))
                self.failures.put(f"notifier {self.notifier.name}: {event.event} was not sent: {reason}")
            self._since = None
            with self._idle:
                self.unfinished -= 1
                self._idle.notify_all()


def _reason(problem: BaseException) -> str:
    cause = problem.__cause__ if isinstance(problem, PluginFailed) else problem
    return f"{type(cause).__name__}: {cause}"


class NotificationDispatcher:
    """All notifiers; `complain` is called, in the caller's thread, about those that fail or hang."""

    def __init__(self, notifiers: Iterable[Notifier], complain: Callable[[str], None], limit: float = LIMIT) -> None:
        self._couriers = [_NotifierWorker(notifier) for notifier in notifiers]
        self._complain = complain
        self._limit = limit

    def tell(self, event: Event) -> None:
        """Queue an event for all notifiers; returns at once."""
        for courier in self._couriers:
            courier.tell(event)
        self.check()

    def check(self) -> None:
        for courier in self._couriers:
            self._complain_of_failures(courier)
            if courier.is_slow(self._limit) and not courier.given_up:
                courier.given_up = True
                self._complain(
                    f"notifier {courier.notifier.name}: has not returned for {self._limit:.0f} s; "
                    "it receives nothing more"
                )

    def close(self) -> None:
        """Wait for the last deliveries, at most one timeout."""
        deadline = clock.monotonic() + self._limit
        for courier in self._couriers:
            arrived = courier.given_up or courier.wait(max(0.0, deadline - clock.monotonic()))
            self._complain_of_failures(courier)
            if not arrived:
                self._complain(
                    f"notifier {courier.notifier.name}: did not receive all events, because it does not return"
                )

    def _complain_of_failures(self, courier: _NotifierWorker) -> None:
        while True:
            try:
                self._complain(courier.failures.get_nowait())
            except Empty:
                return
