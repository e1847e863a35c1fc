"""A launch from its first word to its last: asked for, marked, seen through its set-up."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

from scripts.core.aws.aws_errors import AWS_ERRORS, reason
from scripts.core.console import warn
from scripts.core.data.volume_ends import mark_volumes
from scripts.core.hosts.ssh_files import Reach, SshFiles
from scripts.core.lab.config import Experiment
from scripts.core.launch.asking import Instance
from scripts.core.launch.definition import Definition
from scripts.core.launch.launch_listener import Listener
from scripts.core.launch.launching import Launch
from scripts.core.launch.set_up import set_up, tell_of_no_key
from scripts.core.runs.delivery import Delivery, check_way, deliver
from scripts.core.runs.kept_code import keep
from scripts.core.session import Session

if TYPE_CHECKING:
    from scripts.core.costs.budget import Budget


class Report(Listener, Protocol):
    """Who is told of all of it."""

    def begins(self, session: Session, experiment: Experiment, count: int) -> None:
        """What is wanted, and of whom."""

    def within(self, budgets: Sequence[Budget]) -> None:
        """Which budgets the launch keeps."""

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
    defined: Definition | None = None,
) -> None:
    """Launch an experiment that the caller acts on alone; what it was defined as is recorded.

    Raises LabError: NotReached where the machines run and their set-up could not be seen to.
    """
    session.expect_free(name)
    SshFiles(session.directory).expect_own()
    if experiment.nodes > 1:
        count = at_least = experiment.nodes
    with admitted(session, name, defined.base if defined else name, experiment, count) as budgets:
        check_way(session, name, experiment)
        run = defined.with_code(session.directory) if defined else None
        if run and run.pack:
            keep(session.directory, run.pack.tar)
        report.begins(session, experiment, count)
        report.within(budgets)
        tell_of_no_key(session, name, report.sets_up)
        launch = Launch(
            session, name, experiment, report, count, at_least,
            noted=run.as_note() if run else None, is_all=not experiment.is_delivered_to,
        )  # fmt: skip
        machines = launch.run()
        report.lives(session, machines)
        _mark(session, name, machines)
        done = set_up(session, name, experiment, machines, report.sets_up)
        if experiment.is_delivered_to and not done.shut:
            delivery = Delivery(name, experiment, run.pack if run else None, machines)
            deliver(session, name, delivery, done.reaches, report.sets_up)
            launch.launched()
        report.reached(session, done.reaches)
        done.expect_seen(name)


def _mark(session: Session, name: str, machines: Sequence[Instance]) -> None:
    """Say on each volume what becomes of it. The machines run and say so too: where AWS refuses, that is only told."""
    try:
        mark_volumes(session, machines)
    except AWS_ERRORS as problem:
        warn(
            f"{name}: what becomes of its volumes is not in their tags ({reason(problem)}); "
            f"`make teardown EXP={name}` puts it there as long as their machine runs"
        )


def admitted(
    session: Session, name: str, base: str, experiment: Experiment, count: int
) -> AbstractContextManager[list[Budget]]:
    """Hold a launch to its budgets, of which there may be none. Raises LabError."""
    if session.lab.budget is None and experiment.budget is None:
        return nullcontext([])
    return session.budgets.admitted(name, base, experiment, count)
