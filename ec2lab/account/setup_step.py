"""One thing that an account lacks, and what makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """Shown first, made when that is meant."""

    what: str
    make: Callable[[], object]
