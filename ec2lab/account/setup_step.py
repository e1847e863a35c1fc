"""One missing resource, and what creates it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """Shown first, and created on confirmation."""

    what: str
    make: Callable[[], object]
