"""Events of a watch, besides those of launches."""

from __future__ import annotations

from enum import StrEnum

from ec2lab.events import GREEN, RED, YELLOW, Event
from ec2lab.instance_state import state_text
from ec2lab.units import exited


class InterruptionStage(StrEnum):
    """The stage of an interruption by AWS."""

    AT_RISK = "at-risk"
    """AWS considers it likely (a rebalance recommendation); it may not happen."""
    NOTICE = "notice"
    """It happens within two minutes."""
    TERMINATED = "terminated"
    """AWS has terminated the instance."""


STAGES = {
    "at-risk": "may be interrupted soon",
    "notice": "will be interrupted within two minutes",
    "terminated": "was interrupted by AWS",
}


class InstanceStateChanged(Event, commands="watch"):
    """An instance's state changed. If it is running, the event is instance-running."""

    experiment: str
    instance: str
    state: str
    """As AWS reports it."""
    state_reason: str
    """AWS's code for it; empty if there is none."""

    def lines(self) -> str:
        return f"{self.experiment}  {self.instance}  {state_text(self.state, self.state_reason)}"


class DataLoaded(Event, commands="watch", text="{experiment}  {instance}  its data is loaded"):
    """All blocks of an instance's volumes have been loaded from their snapshots."""

    experiment: str
    instance: str


class Interrupted(Event, commands="watch", notify=True):
    """AWS has terminated an instance, or is about to."""

    experiment: str
    instance: str
    stage: InterruptionStage
    reason: str

    def lines(self) -> str:
        return f"{self.experiment}: {self.instance} {STAGES[self.stage]} ({self.reason})"

    def color(self) -> str | None:
        return YELLOW if self.stage == "at-risk" else RED


class Relaunched(Event, commands="watch", notify=True, style=GREEN):
    """Instances that AWS terminated were launched again."""

    experiment: str
    replaced: list[str]

    def lines(self) -> str:
        return f"{self.experiment}: relaunched, in place of {', '.join(self.replaced)}"


class CommandExited(Event, commands="watch", notify=True):
    """The experiment's command exited on an instance."""

    experiment: str
    instance: str
    exit_code: int

    def lines(self) -> str:
        return f"{self.experiment}: its command on {self.instance} {exited(self.exit_code)}"

    def color(self) -> str | None:
        return RED if self.exit_code else None


class ExperimentEnded(Event, commands="watch", notify=True):
    """No instance is left, and no launch is running."""

    experiment: str
    exit_code: int | None
    """The command's own; with several instances, the first that is not 0. null without a command, or if unknown."""

    def lines(self) -> str:
        code = "" if self.exit_code is None else f"; its command {exited(self.exit_code)}"
        return f"{self.experiment}: no instance is left{code}"

    def color(self) -> str | None:
        return RED if self.exit_code else None


class RunProgress(Event, commands="watch"):
    """The progress of data and command, if it has changed."""

    experiment: str
    loaded: list[str]
    """Percentages, for each instance that is not complete."""
    line: str
    """The last line of the command's log."""
    seconds_left: int | None
    """Until the first instance terminates itself; null if none does."""


class WatchWarning(Event, commands="watch", name="warning", text="{message}", style=YELLOW):
    """Why something is unknown, or was not done."""

    experiment: str
    message: str
