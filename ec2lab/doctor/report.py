"""What the screen, or a program, is told of a check-up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ec2lab.console import Console
from ec2lab.doctor.check import Check, Finding, Severity
from ec2lab.doctor.context import DoctorContext
from ec2lab.errors import LabError

COLOURS = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.UNKNOWN: "yellow", Severity.WRONG: "red"}


class DoctorReport:
    """Speaks of findings to a console, each in a line."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.counts: Counter[Severity] = Counter(dict.fromkeys(Severity, 0))

    def begins(self, lab: DoctorContext) -> None:
        """Say where calls go, where that can be said."""
        try:
            self.console.hint(lab.opened.cloud.banner)
        except LabError:
            return  # the check of the credentials says why
        self.console.progress("  looking")

    def found(self, check: Check, finding: Finding) -> tuple[Check, Finding]:
        """Say a finding and what mends it; hand it back."""
        level = finding.diagnosis.level
        self.counts[level] += 1
        remedy = f" → {finding.remedy}" if finding.remedy else ""
        self.console.say(
            f"{level:<8} {check.name:<12} {finding.text}{remedy}", "finding", style=COLOURS[level] if remedy else None,
            level=level, check=check.name, finding=finding.diagnosis.id, subjects=finding.subjects,
            values=dict(finding.values), text=finding.text, remedy=finding.remedy,
        )  # fmt: skip
        return check, finding

    def mended(self, check: Check, finding: Finding, done: Sequence[str]) -> None:
        """Say what was done."""
        for text in done:
            self.console.say(
                f"mended   {check.name:<12} {text}", "mended", style="green",
                check=check.name, finding=finding.diagnosis.id, text=text,
            )  # fmt: skip

    def ends(self) -> None:
        """Say the sum."""
        wrong, warnings, unknown = (
            self.counts[level] for level in (Severity.WRONG, Severity.WARNING, Severity.UNKNOWN)
        )
        told = f"{wrong} wrong, {warnings} to think about" if wrong or warnings or unknown else "all is well"
        told += f", {unknown} not looked at" if unknown else ""
        worst = Severity.WRONG if wrong else Severity.WARNING if warnings or unknown else Severity.OK
        self.console.say(told, "doctor", style=COLOURS[worst], **{level: self.counts[level] for level in Severity})
