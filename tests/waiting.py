"""Waiting for another process, the one thing for which tests really wait: it takes the time that it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
LOOK, PATIENCE = 0.01, 60.0
"""Seconds."""


def wait_until(condition: Callable[[], Found], patience: float = PATIENCE) -> Found:
    """Return what a condition gives as soon as it gives something; what it gives in the end, if that is too late."""
    deadline = time.monotonic() + patience
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(LOOK)
    return found
