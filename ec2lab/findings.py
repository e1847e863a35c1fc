"""What can be found wrong, and what fixes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    """Something may fail, and may be meant so."""
    UNKNOWN = "unknown"
    """It could not be looked at."""
    ERROR = "error"
    """Something fails for certain."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that can be found, and what fixes it; docs/doctor.md has a row for each.

    In its words, `{subjects}` are the regions, files or calls that it was found of, and `{count}` is how many.
    """

    id: str
    severity: Severity
    message: str
    remedy: str = ""

    def of(self, *subjects: str, **values: Any) -> Finding:
        """Return the finding of it, in one or several places."""
        return Finding(self, subjects, tuple((key, str(value)) for key, value in values.items()))


@dataclass(frozen=True, slots=True)
class Finding:
    """A diagnosis of this lab."""

    diagnosis: Diagnosis
    subjects: tuple[str, ...]
    values: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """What was found, in one line."""
        return self._filled(self.diagnosis.message)

    @property
    def remedy(self) -> str:
        """What fixes it, in one line; empty where nothing is to be fixed."""
        return self._filled(self.diagnosis.remedy)

    def _filled(self, template: str) -> str:
        words = {"subjects": ", ".join(self.subjects), "spaced": " ".join(self.subjects), "count": len(self.subjects)}
        return " ".join(template.format(**{**words, **dict(self.values)}).split())


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings with those of the same words as one, each subject once."""
    subjects: dict[tuple[str, tuple[tuple[str, str], ...]], dict[str, None]] = {}
    first: dict[tuple[str, tuple[tuple[str, str], ...]], Finding] = {}
    for finding in findings:
        key = finding.diagnosis.id, finding.values
        first.setdefault(key, finding)
        subjects.setdefault(key, {}).update(dict.fromkeys(finding.subjects))
    return [Finding(found.diagnosis, tuple(subjects[key]), found.values) for key, found in first.items()]
