"""Waiting for another process, the one thing for which tests really wait: it takes the time that it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import TypeVar

from tests.local_cloud_client import LocalCloud

Found = TypeVar("Found")
LOOK, PATIENCE = 0.02, 60.0
"""Seconds."""


SPEED = 20.0


@contextmanager
def in_quick_motion(cloud: LocalCloud, speed: float = SPEED) -> Iterator[None]:
    """Let the cloud's time pass so much faster meanwhile: for a test that waits for a script that waits."""
    over = Event()

    def advance() -> None:
        while not over.wait(LOOK):
            cloud.advance(LOOK * speed)

    with ThreadPoolExecutor(1) as clockwork:
        turning = clockwork.submit(advance)
        try:
            yield
        finally:
            over.set()
            turning.result()


def wait_until(condition: Callable[[], Found], patience: float = PATIENCE) -> Found:
    """Return what a condition gives as soon as it gives something; what it gives in the end, if that is too late."""
    deadline = time.monotonic() + patience
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(LOOK)
    return found
