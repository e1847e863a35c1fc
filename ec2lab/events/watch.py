"""Events of a watch, besides those of launches."""

from __future__ import annotations

from enum import StrEnum

from ec2lab.events import Event


class InterruptionStage(StrEnum):
    """The stage of an interruption by AWS."""

    AT_RISK = "at-risk"
    """AWS considers it likely (a rebalance recommendation); it may not happen."""
    NOTICE = "notice"
    """It happens within two minutes."""
    TERMINATED = "terminated"
    """AWS has terminated the instance."""


class InstanceStateChanged(Event, commands="watch"):
    """An instance's state changed. If it is running, the event is instance-running."""

    experiment: str
    instance: str
    state: str
    """As AWS reports it."""
    state_reason: str
    """AWS's code for it; empty if there is none."""


class DataLoaded(Event, commands="watch"):
    """All blocks of an instance's volumes have been loaded from their snapshots."""

    experiment: str
    instance: str


class Interrupted(Event, commands="watch", notify=True):
    """AWS has terminated an instance, or is about to."""

    experiment: str
    instance: str
    stage: InterruptionStage
    reason: str


class Relaunched(Event, commands="watch", notify=True):
    """Instances that AWS terminated were launched again."""

    experiment: str
    replaced: list[str]


class CommandExited(Event, commands="watch", notify=True):
    """The experiment's command exited on an instance."""

    experiment: str
    instance: str
    exit_code: int


class ExperimentEnded(Event, commands="watch", notify=True):
    """No instance is left, and no launch is running."""

    experiment: str
    exit_code: int | None
    """The command's own; with several instances, the first that is not 0. null without a command, or if unknown."""


class RunProgress(Event, commands="watch"):
    """The progress of data and command, if it has changed."""

    experiment: str
    loaded: list[str]
    """Percentages, for each instance that is not complete."""
    line: str
    """The last line of the command's log."""
    seconds_left: int | None
    """Until the first instance terminates itself; null if none does."""


class WatchWarning(Event, commands="watch", name="warning"):
    """Why something is unknown, or was not done."""

    experiment: str
    message: str
