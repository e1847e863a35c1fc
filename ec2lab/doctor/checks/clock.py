"""The clock of this machine against AWS's."""

from __future__ import annotations

from collections.abc import Iterator

from ec2lab.doctor.check import Check, Diagnosis, Finding, Level, Needs
from ec2lab.doctor.context import CheckedLab, NotLooked

TOLERATED = 300
"""Seconds (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html)."""
NOTICEABLE = 30
SET_IT = "`sudo timedatectl set-ntp true` (macOS: `sudo sntp -sS time.apple.com`)"

CLOCK_RIGHT = Diagnosis("clock-right", Level.OK, "as AWS's, to {seconds} s")
CLOCK_OFF = Diagnosis(
    "clock-off", Level.WARNING, "{seconds} s {direction} AWS's, which takes no call beyond 300 s", SET_IT
)
CLOCK_WRONG = Diagnosis("clock-wrong", Level.WRONG, "{seconds} s {direction} AWS's, which takes no call so", SET_IT)


class Clock(Check):
    """Compared by the Date of AWS's answer, which even a refusal has."""

    name = "clock"
    order = 41
    needs = Needs.ANSWER

    def look(self, lab: CheckedLab) -> Iterator[Finding]:
        """Compare."""
        skew = lab.caller().skew
        if skew is None:
            raise NotLooked("AWS did not answer")
        off = max(0, round(abs(skew) - 1))  # a Date has no fractions
        found = CLOCK_WRONG if off > TOLERATED else CLOCK_OFF if off > NOTICEABLE else CLOCK_RIGHT
        if found is CLOCK_RIGHT:
            yield found.of(seconds=1 + off)
        else:
            yield found.of(seconds=round(abs(skew)), direction="ahead of" if skew > 0 else "behind")
