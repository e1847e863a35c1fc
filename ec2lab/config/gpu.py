"""GPUs as experiments and GPU= ask for them: `A100`, `A100:8`, `A100-80GB:8`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

REQUEST = re.compile(r"([A-Za-z0-9][A-Za-z0-9 ._-]*?)(?:-(\d+) ?GB)?(?::(\d+(?:\.\d+)?))?", re.IGNORECASE)
TOLERANCE = 0.01  # vendors round: a B200 has "180 GB", and AWS reports 183,359 MiB


@dataclass(frozen=True, slots=True)
class GpuRequest:
    """Which GPU, and how many of it to an instance; None stands for any."""

    name: str
    memory_gb: int | None = None  # of each GPU
    count: float | None = None  # a fraction where an instance type has a part of a GPU

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a request as people write it. Raises ValueError."""
        found = REQUEST.fullmatch(text.strip())
        count = float(found[3]) if found and found[3] else None
        if not found or count == 0:
            raise ValueError(f'{text!r} is not a GPU (try "A100:8", "A100-80GB:8" or "L4")')
        return cls(found[1], int(found[2]) if found[2] else None, count)

    def is_called(self, name: str) -> bool:
        """Return whether AWS's name of a GPU is the one meant, whatever its capitals, spaces and dashes."""
        return _plain(name) == _plain(self.name)

    def has_memory(self, memory_mib: int) -> bool:
        """Return whether a GPU of so many MiB is sold as one of the requested GB, which may be GiB."""
        wanted = self.memory_gb
        return wanted is None or any(abs(size - wanted) <= TOLERANCE * size for size in _sizes(memory_mib))

    def has_count(self, count: float) -> bool:
        """Return whether an instance has the requested number; without one, at least a whole GPU."""
        return count >= 1 if self.count is None else count == self.count


def nominal_gb(memory_mib: int) -> int:
    """Return the size that a GPU is sold by: 40 for 40,960 MiB (GiB), 24 for 22,888 MiB (decimal GB)."""
    gib, decimal = _sizes(memory_mib)
    return round(gib if gib.is_integer() else decimal)


def _sizes(memory_mib: int) -> tuple[float, float]:
    return memory_mib / 1024, memory_mib * 1.048576 / 1000


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower()).removeprefix("nvidia")


def plain_count(count: float) -> str:
    """Return 8 for 8.0, and 0.125 as it is."""
    return f"{count:g}"
