"""What is reported of commands and their logs."""

from __future__ import annotations

from ec2lab.events import Event


class CommandEnded(Event, commands="wait"):
    """An experiment's command has exited on all its instances."""

    experiment: str
    exit_code: int
    """The command's own; of several instances the first that is not 0."""
    reason: str
    """Why it is not the command's own, where it is not; empty where it is."""


class LogLine(Event, commands="logs"):
    """A line of the command's log."""

    instance: str
    text: str


class PartialLogLine(Event, commands="logs"):
    """The last line of the log as it is by now, where no other came for half a minute: a progress bar."""

    instance: str
    text: str
