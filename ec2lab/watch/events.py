"""What may happen to an experiment that is watched: what a notifier is told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from ec2lab.registry.record import now


class InterruptionStage(StrEnum):
    """How far an interruption by AWS is."""

    AT_RISK = "at-risk"
    """AWS thinks it likely (a rebalance recommendation); it may never come."""
    NOTICE = "notice"
    """It comes in two minutes at the most."""
    TAKEN = "taken"
    """AWS has ended the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEvent(ABC):
    """Something that happened to an experiment."""

    name: ClassVar[str]
    experiment: str
    at: str = field(default_factory=now)
    """RFC 3339, UTC."""

    @property
    @abstractmethod
    def text(self) -> str:
        """One line for people."""

    def as_fields(self) -> dict[str, Any]:
        """Return it as a program wants it: the fields of a JSON object."""
        return {"event": self.name, **asdict(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Running(WatchEvent):
    """A machine runs: for the first time that is seen, or again."""

    name = "running"
    machine: str
    region: str
    type: str

    @property
    def text(self) -> str:
        """One line for people."""
        return f"{self.experiment}: {self.machine} runs ({self.type} in {self.region})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(WatchEvent):
    """AWS refused a machine to a launch or a start, of this process or of another."""

    name = "refused"
    region: str
    code: str
    message: str
    wanted: str
    """The type of machine, or the machine that was to start."""
    meaning: str

    @property
    def text(self) -> str:
        """One line for people."""
        return f"{self.experiment}: {self.region}  {self.wanted}  {self.meaning} ({self.code})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted(WatchEvent):
    """AWS takes a machine away, or is about to."""

    name = "interrupted"
    machine: str
    stage: InterruptionStage
    why: str

    @property
    def text(self) -> str:
        """One line for people."""
        said = {
            InterruptionStage.AT_RISK: "may be interrupted soon",
            InterruptionStage.NOTICE: "will be taken away within two minutes",
            InterruptionStage.TAKEN: "was taken away by AWS",
        }[self.stage]
        return f"{self.experiment}: {self.machine} {said} ({self.why})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaunched(WatchEvent):
    """What AWS took away was launched again."""

    name = "relaunched"
    instead_of: tuple[str, ...]

    @property
    def text(self) -> str:
        """One line for people."""
        return f"{self.experiment}: was launched again, instead of {', '.join(self.instead_of)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEnded(WatchEvent):
    """The experiment's command has ended on a machine."""

    name = "command-ended"
    machine: str
    exit_code: int

    @property
    def text(self) -> str:
        """One line for people."""
        return f"{self.experiment}: its command ended with {self.exit_code} on {self.machine}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(WatchEvent):
    """No machine is left, and nobody is launching any."""

    name = "ended"
    exit_code: int | None
    """The command's: of several machines the first that is not 0. None where there was none, or nobody knows."""

    @property
    def text(self) -> str:
        """One line for people."""
        ended = "" if self.exit_code is None else f"; its command ended with {self.exit_code}"
        return f"{self.experiment}: no machine is left{ended}"
