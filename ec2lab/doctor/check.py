"""What a check of `make doctor` is: it looks at one concern of the lab, and each thing that it finds has a remedy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from ec2lab.findings import Finding
from ec2lab.plugin_guard import Guard, ResultCheck, each, is_a, several
from ec2lab.plugins import Plugins

if TYPE_CHECKING:
    from ec2lab.doctor.context import DoctorContext
    from ec2lab.session import Session


class Requirement(IntEnum):
    """What a check needs before it can look."""

    NOTHING = 0
    LAB = 1
    """A lab.toml without mistakes."""
    ANSWER = 2
    """An answer of AWS to the question who asks, whichever it is."""
    AWS = 3
    """Credentials that AWS takes."""


Look = Callable[[], Iterable[Finding]]
"""One part of a check, made in a thread."""


def _finding(found: Any) -> Finding:
    finding: Finding = is_a(found, Finding, "Finding")
    _ = finding.text, finding.remedy  # a value may be missing in its words
    return finding


def _findings(found: Any, guard: Guard, *_: Any) -> Any:
    return each(found, guard, _finding, "Finding")


def _looks(found: Any, guard: Guard, *_: Any) -> Any:
    return each(found, guard, lambda look: guard.function(is_a(look, Callable, "function"), _findings), "function")


class Check(ABC):
    """One concern."""

    name: ClassVar[str]
    order: ClassVar[int] = 50
    """Where its findings are shown."""
    needs: ClassVar[Requirement] = Requirement.NOTHING
    results: ClassVar[Mapping[str, ResultCheck]] = {"look": _findings, "looks": _looks, "fix": several(str, "text")}

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


def checks(plugins: Plugins) -> list[Check]:
    """Return every check of `make doctor`, in the order in which their findings are shown."""
    return plugins.ordered("lab_checks", Check)
