"""What a check of `make doctor` is: it looks at one concern of the lab, and each thing that it finds has a remedy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from ec2lab.findings import Finding

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
