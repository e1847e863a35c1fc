"""What can be found wrong, and what fixes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """Something may fail, or may be intended."""
    UNKNOWN = "unknown"
    """It could not be checked."""
    ERROR = "error"
    """Something certainly fails."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A possible finding and its remedy; docs/doctor.md has a row for each.

    In its text, `{subjects}` are the regions, files or calls concerned, and `{count}` is their number.
    """

    id: str
    severity: Severity
    message: str
    remedy: str = ""

    def of(self, *subjects: str, **values: Any) -> Finding:
        return Finding(self, subjects, tuple((key, str(value)) for key, value in values.items()))


def ok(identity: str, message: str, remedy: str = "") -> Diagnosis:
    return Diagnosis(identity, Severity.OK, message, remedy)


def warning(identity: str, message: str, remedy: str) -> Diagnosis:
    return Diagnosis(identity, Severity.WARNING, message, remedy)


def unknown(identity: str, message: str, remedy: str) -> Diagnosis:
    return Diagnosis(identity, Severity.UNKNOWN, message, remedy)


def error(identity: str, message: str, remedy: str) -> Diagnosis:
    return Diagnosis(identity, Severity.ERROR, message, remedy)


@dataclass(frozen=True, slots=True)
class Finding:
    diagnosis: Diagnosis
    subjects: tuple[str, ...]
    values: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        return self._filled(self.diagnosis.message)

    @property
    def remedy(self) -> str:
        """The remedy, in one line; empty where there is nothing to fix."""
        return self._filled(self.diagnosis.remedy)

    def _filled(self, template: str) -> str:
        words = {"subjects": ", ".join(self.subjects), "spaced": " ".join(self.subjects), "count": len(self.subjects)}
        return " ".join(template.format(**{**words, **dict(self.values)}).split())


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Merge findings with the same text, each subject once."""
    subjects: dict[tuple[str, tuple[tuple[str, str], ...]], dict[str, None]] = {}
    first: dict[tuple[str, tuple[tuple[str, str], ...]], Finding] = {}
    for finding in findings:
        key = finding.diagnosis.id, finding.values
        first.setdefault(key, finding)
        subjects.setdefault(key, {}).update(dict.fromkeys(finding.subjects))
    return [Finding(found.diagnosis, tuple(subjects[key]), found.values) for key, found in first.items()]
