"""What a sweep reports."""

from __future__ import annotations

from typing import Any

from ec2lab.events import Event


class SweepStarted(Event, commands="sweep"):
    """A sweep begins."""

    experiment: str
    instance_types: list[str]
    markets: list[str]
    trials: list[str]
    """The experiments that are to be launched."""
    launched_before: int


class TrialFinished(Event, commands="sweep"):
    """The launch of one trial succeeded, failed, or was not needed."""

    experiment: str
    state: str
    """runs, runs already, was launched before, failed or not begun."""
    reason: str
    """Of a failure; empty otherwise."""
    seconds: float
    instance: str
    """What runs where, in words; empty where nothing was launched."""
    parameters: dict[str, Any]


class SweepComplete(Event, commands="sweep"):
    """How many trials are in which state."""

    experiment: str
    seconds: float
    outcomes: dict[str, int]
