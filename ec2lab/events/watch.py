"""What a watch reports, beside launches."""

from __future__ import annotations

from enum import StrEnum

from ec2lab.events import Event


class InterruptionStage(StrEnum):
    """How far an interruption by AWS is."""

    AT_RISK = "at-risk"
    """AWS thinks it likely (a rebalance recommendation); it may never come."""
    NOTICE = "notice"
    """It comes within two minutes."""
    TERMINATED = "terminated"
    """AWS has terminated the instance."""


class InstanceStateChanged(Event, commands="watch"):
    """An instance has another state than before. That it runs is reported as instance-running."""

    experiment: str
    instance: str
    state: str
    """AWS's own word."""
    state_reason: str
    """AWS's code for it; empty where there is none."""


class DataLoaded(Event, commands="watch"):
    """All blocks of an instance's volumes are loaded from their snapshots."""

    experiment: str
    instance: str


class Interrupted(Event, commands="watch", notify=True):
    """AWS terminates an instance, or is about to."""

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
    """No instance is left, and nobody launches any."""

    experiment: str
    exit_code: int | None
    """The command's own; of several instances the first that is not 0. null where there is none, or it is not known."""


class RunProgress(Event, commands="watch"):
    """How far data and command are, where that has changed."""

    experiment: str
    loaded: list[str]
    """Percentages, of each instance that is not done."""
    line: str
    """The last of the command's log."""
    seconds_left: int | None
    """Until the first instance terminates itself; null where none does."""


class WatchWarning(Event, commands="watch", name="warning"):
    """Why something is not known, or was not done."""

    experiment: str
    message: str
