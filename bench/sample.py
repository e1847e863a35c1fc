"""A number that was measured several times, and what is said of it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """What several runs gave, in the order of the runs."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        """The middle one: half of the runs gave less, half gave more."""
        return statistics.median(self.values)

    @property
    def least(self) -> float:
        """The smallest, which noise can only have made larger."""
        return min(self.values)

    @property
    def most(self) -> float:
        """The largest."""
        return max(self.values)

    def over(self, other: Sample) -> float:
        """Return the ratio of the medians; runs are taken in turns, so that a slow moment hits both."""
        return self.median / other.median
