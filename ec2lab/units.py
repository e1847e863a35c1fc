"""Sizes, lengths of time, counts, amounts of money, and exit statuses, in words."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from datetime import timedelta

from ec2lab.errors import UserError

GIB = 1 << 30


def format_bytes(size: float) -> str:
    """Format a number of bytes in the unit that fits: 512 MiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:  # noqa: PLR2004
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}  # seconds
LONGEST = 100_000 * UNITS["d"]  # its sum with a time of this century is still a valid time
MOST_DIGITS = 10


def duration(text: object) -> timedelta:
    """Parse "90s", "30m", "6h" or "2d" into a timedelta. Raises ValueError."""
    if not isinstance(text, str) or not (found := re.fullmatch(r"(\d+)([smhd])", text)):
        message = f'{text!r} is not a duration (try "90s", "30m", "6h" or "2d")'
        raise ValueError(message)
    seconds = int(found[1]) * UNITS[found[2]] if len(found[1]) <= MOST_DIGITS else LONGEST + 1
    if seconds > LONGEST:
        message = f"{text!r} is longer than time is counted"
        raise ValueError(message)
    return timedelta(seconds=seconds)


def duration_in(variable: str, text: str) -> timedelta:
    try:
        return duration(text)
    except ValueError as problem:
        raise UserError(f"{variable}: {problem}") from problem


def duration_text(length: timedelta) -> str:
    """Format a timedelta of whole seconds as in a file, in the largest unit that divides it."""
    seconds = int(length.total_seconds())
    unit = next(unit for unit in reversed(UNITS) if seconds % UNITS[unit] == 0)
    return f"{seconds // UNITS[unit]}{unit}"


def dollars(amount: float | None, known: str = "{:,.2f}", unknown: str = "unknown") -> str:
    return unknown if amount is None else known.format(amount)


def amount(known: float, unknown: int) -> str:
    """Format a sum, with what it leaves out."""
    if unknown and not known:
        return "unknown"
    return f"{known:,.2f}{f' + {unknown} unknown' if unknown else ''}"


def a_month(known: float, unknown: int) -> str:
    return f"{known:,.2f} dollars a month{f', and {unknown} of unknown price' if unknown else ''}"


def counted(number: int, noun: str) -> str:
    """Return a number of something: 1 volume, 2 volumes."""
    plural = noun if number == 1 else f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {plural}"


EXIT_STATUSES = {  # those of a shell (https://www.gnu.org/software/bash/manual/html_node/Exit-Status.html)
    126: "found, but not executable",
    127: "command not found",
    128 + signal.SIGINT: "ended by SIGINT, as by Ctrl-C",
    128 + signal.SIGKILL: "killed by SIGKILL, often for lack of memory",
    **{128 + one: f"ended by {one.name}" for one in signal.Signals if one not in (signal.SIGINT, signal.SIGKILL)},
}


def exited(status: int, why: str = "") -> str:
    """Return an exit status in words, with what it means in a shell: `exited with status 127: command not found`."""
    return ": ".join(filter(None, (f"exited with status {status}", why or EXIT_STATUSES.get(status))))


def used_text(spent: float, unknown: int, promised: float) -> str:
    items = f", plus {counted(unknown, 'item')} without a price" if unknown else ""
    return f"${spent:,.2f} spent{items}, ${promised:,.2f} promised to live resources"


def up_to(dollars: float, unpriced: Sequence[str], period: str) -> str:
    """Return what something costs at the most, and what that leaves out."""
    known = f"up to ${dollars:,.2f} {period}" if dollars or not unpriced else ""
    names = " and ".join(filter(None, (", ".join(unpriced[:-1]), *unpriced[-1:])))
    return ", plus ".join(filter(None, (known, names and f"{names} (price unknown)")))


def forecast_text(dollars: float, unpriced: Sequence[str], hours: float, *, is_assumed: bool) -> str:
    return up_to(dollars, unpriced, "per day (no ttl)" if is_assumed else f"over its ttl of {hours:g} h")
