"""The interface of checks: each looks at one concern, and each finding has a remedy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    """What a check needs before it can run."""

    NOTHING = 0
    LAB = 1
    """A valid lab.toml."""
    ANSWER = 2
    """A response of AWS about the caller, whichever it is."""
    AWS = 3
    """Credentials that AWS accepts."""


Probe = Callable[[], Iterable[Finding]]  # one part of a check, run in a thread


def _finding(found: Any) -> Finding:
    finding: Finding = is_a(found, Finding, "Finding")
    _ = finding.text, finding.remedy  # a value for its placeholders may be missing
    return finding


def _findings(found: Any, guard: Guard, *_: Any) -> Any:
    return each(found, guard, _finding, "Finding")


def _probes(found: Any, guard: Guard, *_: Any) -> Any:
    return each(found, guard, lambda probe: guard.function(is_a(probe, Callable, "function"), _findings), "function")


class Check(ABC):
    name: ClassVar[str]
    order: ClassVar[int] = 50
    """The position of its findings."""
    needs: ClassVar[Requirement] = Requirement.NOTHING
    results: ClassVar[Mapping[str, ResultCheck]] = {"run": _findings, "probes": _probes, "fix": several(str, "text")}

    facts: ClassVar[Sequence[Callable[[DoctorContext, str], Any]]] = ()
    """What `run` asks of each region (`lab.begin_everywhere`), requested before any check runs."""

    def probes(self, lab: DoctorContext) -> Iterable[Probe]:
        """Return the parts that can run in parallel; other facts that they share are requested here (`lab.begin`)."""
        for fact in self.facts:
            lab.begin_everywhere(fact)
        return [partial(self.run, lab)]

    @abstractmethod
    def run(self, lab: DoctorContext) -> Iterable[Finding]:
        """Return at least one finding, which says what is fine if nothing is wrong."""

    def fix(self, session: Session, finding: Finding) -> Iterable[str]:
        """Fix what was found, for FIX=1, by recorded calls; report what was done."""
        return ()


def checks(plugins: Plugins) -> list[Check]:
    return plugins.ordered("lab_checks", Check)
