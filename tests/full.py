"""What is too long for every run: `make test FULL=1` does all of it."""

from __future__ import annotations

import os

FULL = os.environ.get("FULL") == "1"
TIMES = 10
"""As many generated examples with FULL=1."""


def examples(number: int) -> int:
    """Return how many examples a test is to have of which every run has so many."""
    return number * TIMES if FULL else number
