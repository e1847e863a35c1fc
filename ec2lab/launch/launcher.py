"""A launch, from top to bottom: admitted, packed, searched for, committed, booted, and its code delivered."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

from ec2lab.aws.errors import AWS_ERRORS, reason
from ec2lab.config.models import Experiment
from ec2lab.console import warn
from ec2lab.hosts.ssh_config import SshConfig, SshTarget
from ec2lab.launch.launched_instances import LaunchedInstances
from ec2lab.launch.listener import Listener
from ec2lab.launch.resume import instances_of_interrupted_launch
from ec2lab.launch.rollback import Rollback, failure_recorded
from ec2lab.launch.run_instances import Instance
from ec2lab.launch.run_spec import RunSpec
from ec2lab.launch.search_loop import SearchLoop
from ec2lab.launch.wait_for_boot import set_up, tell_of_no_key
from ec2lab.registry.launch_notes import RUN
from ec2lab.runs.code_store import keep
from ec2lab.runs.upload import Delivery, check_ssh_access, upload_code
from ec2lab.session import Session
from ec2lab.volumes.deletion_policy import tag_deletion_policies

if TYPE_CHECKING:
    from ec2lab.costs.budget import Budget


class Report(Listener, Protocol):
    """Who is told of all of it."""

    def begins(self, session: Session, experiment: Experiment, count: int) -> None:
        """What is wanted, and of whom."""

    def within(self, budgets: Sequence[Budget]) -> None:
        """Which budgets the launch keeps."""

    def lives(self, session: Session, machines: Sequence[Instance]) -> None:
        """The machines run."""

    def on_setup(self, said: str) -> None:
        """How far a machine's set-up is."""

    def reached(self, session: Session, reaches: Sequence[SshTarget]) -> None:
        """How the machines are reached; their set-up is done."""


def launch_experiment(
    session: Session,
    name: str,
    experiment: Experiment,
    report: Report,
    count: int = 1,
    at_least: int = 1,
    defined: RunSpec | None = None,
) -> None:
    """Launch an experiment whose lock the caller holds; what it was defined as is recorded.

    Raises LabError: NotReached where the instances run and their set-up could not be seen to.
    """
    session.expect_free(name)
    SshConfig(session.directory).expect_own()
    if experiment.nodes > 1:
        count = at_least = experiment.nodes
    base = defined.base if defined else name
    with failure_recorded(session), admitted(session, name, base, experiment, count) as budgets:
        check_ssh_access(session, name, experiment)
        run = defined.with_code(session.directory) if defined else None
        if run and run.pack:
            keep(session.directory, run.pack.tar)
        report.begins(session, experiment, count)
        report.within(budgets)
        tell_of_no_key(session, name, report.on_setup)
        launched = start_instances(session, name, experiment, report, count, at_least, run)
        instances = launched.in_order
        report.lives(session, instances)
        _tag_volumes(session, name, instances)
        done = set_up(session, name, experiment, instances, report.on_setup)
        if experiment.needs_code_upload and not done.shut:
            delivery = Delivery(name, experiment, run.pack if run else None, instances)
            upload_code(session, name, delivery, done.reaches, report.on_setup)
            launched.commit()
        report.reached(session, done.reaches)
        done.expect_seen(name)


def start_instances(
    session: Session,
    name: str,
    experiment: Experiment,
    listener: Listener,
    count: int = 1,
    at_least: int = 1,
    run: RunSpec | None = None,
) -> LaunchedInstances:
    """Return once `count` instances run, or `at_least` so many. Raises LabError where they can't be had: none is left.

    An interrupted launch (a crash, a power cut) is resumed: its instances are adopted, and only what is missing is
    looked for. The launch is committed here, unless code is still to be uploaded.
    """
    launched, rollback = LaunchedInstances(session, count), Rollback(session, name, listener)
    search = SearchLoop(session, name, experiment, launched, listener, rollback)
    with rollback.on_failure():
        left = instances_of_interrupted_launch(session, name, search.resend)
        if run:
            session.recorder.annotate(**{RUN: run.as_note()})
        search.adopt(left)
        search.run()
        search.expect(at_least)
        if not experiment.needs_code_upload:
            launched.commit()
    return launched


def _tag_volumes(session: Session, name: str, instances: Sequence[Instance]) -> None:
    """Tag each volume with its deletion policy. The instances run and are reported: a refusal is only a warning."""
    try:
        tag_deletion_policies(session, instances)
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
