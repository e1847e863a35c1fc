"""The time in which AWS is paid to complete a copy."""

from __future__ import annotations

from datetime import timedelta

from scripts.core.errors import LabError
from scripts.core.lab.values import duration

SHORTEST, LONGEST, STEP = timedelta(minutes=15), timedelta(days=2), timedelta(minutes=15)
"""https://docs.aws.amazon.com/ebs/latest/userguide/time-based-copies.html"""


def completion_time(text: str) -> timedelta | None:
    """Return WITHIN as a duration that AWS sells, None where there is none. Raises LabError."""
    if not text:
        return None
    try:
        wanted: timedelta = duration(text)
    except ValueError as problem:
        raise LabError(f"WITHIN: {problem}") from problem
    if not SHORTEST <= wanted <= LONGEST or wanted % STEP:
        raise LabError(f"WITHIN: {text}: AWS sells 15m to 2d, in steps of 15 minutes (try 2h)")
    return wanted
