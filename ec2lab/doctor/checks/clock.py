"""The clock of this computer against AWS's."""

from __future__ import annotations

from collections.abc import Iterator

from ec2lab.doctor.check import Check, Diagnosis, Finding, Requirement, Severity
from ec2lab.doctor.context import CheckSkipped, DoctorContext

MAX_SKEW = 300
"""Seconds (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html)."""
NOTICEABLE = 30
FIX_NTP = "`sudo timedatectl set-ntp true` (macOS: `sudo sntp -sS time.apple.com`)"

CLOCK_OK = Diagnosis("clock-ok", Severity.OK, "as AWS's, to {seconds} s")
CLOCK_SKEWED = Diagnosis(
    "clock-skew", Severity.WARNING, "{seconds} s {direction} AWS's, which takes no call beyond 300 s", FIX_NTP
)
CLOCK_SKEW_TOO_LARGE = Diagnosis(
    "clock-skew-too-large", Severity.WRONG, "{seconds} s {direction} AWS's, which takes no call so", FIX_NTP
)


class Clock(Check):
    """Compared by the Date of AWS's answer, which even a refusal has."""

    name = "clock"
    order = 41
    needs = Requirement.ANSWER

    def look(self, lab: DoctorContext) -> Iterator[Finding]:
        """Compare."""
        skew = lab.caller().skew
        if skew is None:
            raise CheckSkipped("AWS did not answer")
        off = max(0, round(abs(skew) - 1))  # a Date has no fractions
        found = CLOCK_SKEW_TOO_LARGE if off > MAX_SKEW else CLOCK_SKEWED if off > NOTICEABLE else CLOCK_OK
        if found is CLOCK_OK:
            yield found.of(seconds=1 + off)
        else:
            yield found.of(seconds=round(abs(skew)), direction="ahead of" if skew > 0 else "behind")
