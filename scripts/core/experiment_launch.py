"""A launch from its first word to its last: asked for, marked, seen through its set-up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from scripts.core.asking import Instance
from scripts.core.config import Experiment
from scripts.core.launching import Launch, Listener
from scripts.core.session import Session
from scripts.core.set_up import set_up
from scripts.core.ssh_files import Reach
from scripts.core.volume_ends import mark_volumes


class Report(Listener, Protocol):
    """Who is told of all of it."""

    def begins(self, session: Session, experiment: Experiment, count: int) -> None:
        """What is wanted, and of whom."""

    def lives(self, session: Session, machines: Sequence[Instance]) -> None:
        """The machines run."""

    def sets_up(self, said: str) -> None:
        """How far a machine's set-up is."""

    def reached(self, session: Session, reaches: Sequence[Reach]) -> None:
        """How the machines are reached; their set-up is done."""


def launch_experiment(
    session: Session,
    name: str,
    experiment: Experiment,
    report: Report,
    count: int = 1,
    at_least: int = 1,
    run: Mapping[str, Any] | None = None,
) -> None:
    """Launch an experiment that the caller acts on alone; `run` is recorded of it. Raises LabError."""
    report.begins(session, experiment, count)
    machines = Launch(session, name, experiment, report, count, at_least, run).run()
    report.lives(session, machines)
    mark_volumes(session, machines)
    report.reached(session, set_up(session, name, experiment, machines, report.sets_up))
