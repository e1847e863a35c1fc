"""Sizes of data."""

from __future__ import annotations

GIB = 1 << 30


def format_bytes(size: float) -> str:
    """Return a number of bytes for people, in the unit that fits: 512 MiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:  # noqa: PLR2004
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
