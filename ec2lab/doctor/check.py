"""What a check of `make doctor` is: it looks at one concern of the lab, and each thing that it finds has a remedy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from ec2lab.doctor.context import DoctorContext
    from ec2lab.session import Session


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    """Something may fail, and may be meant so."""
    UNKNOWN = "unknown"
    """It could not be looked at."""
    WRONG = "wrong"
    """Something fails for certain."""


class Requirement(IntEnum):
    """What a check needs before it can look."""

    NOTHING = 0
    LAB = 1
    """A lab.toml without mistakes."""
    ANSWER = 2
    """An answer of AWS to the question who asks, whichever it is."""
    AWS = 3
    """Credentials that AWS takes."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that can be found, and what fixes it; docs/doctor.md has a row for each.

    In its words, `{subjects}` are the regions, files or calls that it was found of, and `{count}` is how many.
    """

    id: str
    level: Severity
    says: str
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
        return self._filled(self.diagnosis.says)

    @property
    def remedy(self) -> str:
        """What fixes it, in one line; empty where nothing is to be fixed."""
        return self._filled(self.diagnosis.remedy)

    def _filled(self, template: str) -> str:
        words = {"subjects": ", ".join(self.subjects), "spaced": " ".join(self.subjects), "count": len(self.subjects)}
        return " ".join(template.format(**{**words, **dict(self.values)}).split())


Look = Callable[[], Iterable[Finding]]
"""One part of a check, made in a thread."""


class Check(ABC):
    """One concern."""

    name: ClassVar[str]
    order: ClassVar[int] = 50
    """Where its findings are shown."""
    needs: ClassVar[Requirement] = Requirement.NOTHING

    def looks(self, lab: DoctorContext) -> Iterable[Look]:
        """Return the parts that can be looked at side by side; what they all need is begun here (`lab.begin`)."""
        return [partial(self.look, lab)]

    @abstractmethod
    def look(self, lab: DoctorContext) -> Iterable[Finding]:
        """Look, and return what is found: at least one finding, which says what is well where nothing is wrong."""

    def fix(self, session: Session, finding: Finding) -> Iterable[str]:
        """Fix what was found where FIX=1 is to do it, by recorded calls; say what was done."""
        del session, finding
        return ()


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings with those of the same words as one, each subject once."""
    subjects: dict[tuple[str, tuple[tuple[str, str], ...]], dict[str, None]] = {}
    first: dict[tuple[str, tuple[tuple[str, str], ...]], Finding] = {}
    for finding in findings:
        key = finding.diagnosis.id, finding.values
        first.setdefault(key, finding)
        subjects.setdefault(key, {}).update(dict.fromkeys(finding.subjects))
    return [Finding(found.diagnosis, tuple(subjects[key]), found.values) for key, found in first.items()]
