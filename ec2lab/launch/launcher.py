"""A launch from start to end: budget, code, capacity search, commit, boot, upload."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ec2lab import clock
from ec2lab.aws.errors import AWS_ERRORS, reason
from ec2lab.config.lab_files import load_members
from ec2lab.config.models import Experiment
from ec2lab.console import warn
from ec2lab.costs.budget import forecast
from ec2lab.costs.budget_guard import BudgetGuard
from ec2lab.costs.pricing import price_book
from ec2lab.events import Emit, Event, Info
from ec2lab.events.launch import LaunchStarted, SshReady
from ec2lab.hosts.inventory import stand_ins_answer
from ec2lab.hosts.ssh_config import SshConfig, SshTarget
from ec2lab.instance_state import Instance
from ec2lab.instances.status import running_event
from ec2lab.launch.launched_instances import LaunchedInstances
from ec2lab.launch.resume import expect_not_live, instances_of_interrupted_launch
from ec2lab.launch.resumption import resumption
from ec2lab.launch.rollback import Rollback, failure_recorded
from ec2lab.launch.run_spec import RunSpec, continuing
from ec2lab.launch.search_loop import SearchLoop
from ec2lab.launch.wait_for_boot import set_up, tell_of_no_key
from ec2lab.registry.record import RUN
from ec2lab.runs.code_archive import store_code
from ec2lab.runs.launcher_secrets import launcher_secrets
from ec2lab.runs.outputs import outputs_uris
from ec2lab.runs.upload import Delivery, check_ssh_access, upload_code
from ec2lab.session import Session
from ec2lab.units import duration_text
from ec2lab.volumes.apply_deletion_policy import tag_deletion_policies

if TYPE_CHECKING:
    from ec2lab.costs.budget import Budget


def launch_experiment(
    session: Session,
    name: str,
    experiment: Experiment,
    emit: Emit,
    count: int = 1,
    at_least: int = 1,
    defined: RunSpec | None = None,
    *,
    fresh: bool = False,
    taken: Collection[str] = (),
) -> None:
    """Launch an experiment under the lock that the caller holds, and record its run spec.

    Outputs of runs that were interrupted are continued, unless it is to begin `fresh`: of instances that AWS has
    `taken`, as far as that is known here, and that say so themselves.

    Raises UserError; NotReached if the instances run, but nobody could log in to check their set-up.
    """
    began = clock.monotonic()
    session.records.expect_free(name)
    SshConfig(session.directory).expect_own()
    if experiment.nodes > 1:
        count = at_least = experiment.nodes
    base = defined.base if defined else name
    expect_not_live(session, name)
    with failure_recorded(session.recorder), admitted(session, name, base, experiment, count) as budgets:
        check_ssh_access(session, name, experiment)
        launcher_secrets(name, experiment)
        resumed = resumption(session, name, experiment, fresh=fresh, taken=taken)
        run = defined.with_code(session.directory) if defined else None
        if run and resumed.origins:
            run = continuing(session, name, run, resumed.origins)
            experiment = run.experiment
        if run and run.pack:
            store_code(session.directory, run.pack.tar)
        emit(Info(text=session.cloud.banner))
        emit(_started(name, experiment, count))
        for line in (*_outlook(session, name, experiment, count), *resumed.lines):
            emit(Info(text=line))
        for budget in budgets:
            emit(budget.usage())
        tell_of_no_key(session, name, emit)
        launched = start_instances(session, name, experiment, emit, count, at_least, run)
        instances = launched.in_order
        for instance in instances:
            emit(running_event(session.resource_types, name, instance, clock.monotonic() - began))
        _tag_volumes(session, name, instances)
        done = set_up(session, name, experiment, instances, emit)
        if experiment.needs_code_upload and not done.shut:
            ids = [instance["InstanceId"] for instance in instances]
            origins = resumed.by_instance(ids)
            delivery = Delivery(name, experiment, run.pack if run else None, instances, origins)
            upload_code(session, name, delivery, done.reaches, emit)
            launched.commit(outputs_uris(name, experiment, ids, origins))
        for event in _ready(session, name, experiment, done.reaches):
            emit(event)
        done.expect_seen(name)


def start_instances(
    session: Session,
    name: str,
    experiment: Experiment,
    emit: Emit,
    count: int = 1,
    at_least: int = 1,
    run: RunSpec | None = None,
) -> LaunchedInstances:
    """Return when `count` instances run, or at least `at_least`. Otherwise roll back and raise UserError.

    An interrupted launch is resumed: its instances are adopted, and only the missing ones are requested. The launch is
    committed here, unless code is still to be uploaded.
    """
    launched, rollback = LaunchedInstances(session, count), Rollback(session, name, emit)
    search = SearchLoop(session, name, experiment, launched, emit, rollback)
    with rollback.on_failure():
        left = instances_of_interrupted_launch(session, name, search.resend)
        if run:
            session.recorder.annotate(**{RUN: run.as_annotation()})
        search.adopt(left)
        search.run()
        search.expect(at_least)
        if not experiment.needs_code_upload:
            launched.commit()
    return launched


def _started(name: str, experiment: Experiment, count: int) -> LaunchStarted:
    return LaunchStarted(
        experiment=name, instance_types=list(experiment.instance_types), markets=[str(m) for m in experiment.markets],
        count=count, datasets={str(volume.mount): volume.dataset for volume in experiment.data},
    )  # fmt: skip


def _outlook(session: Session, name: str, experiment: Experiment, count: int) -> Iterator[str]:
    yield f"  price   {forecast(price_book(session, asks_aws=False), session.lab, experiment, count).hourly_text}"
    yield f"  ends    {end_of(experiment, name)}"
    yield nobody_can_log_in(session.directory, on_stand_ins=stand_ins_answer(session))


def nobody_can_log_in(directory: Path, *, on_stand_ins: bool = False) -> str:
    who = "nobody could log in on AWS" if on_stand_ins else "nobody can log in"
    warning = f"  login   members/ is empty, so {who} (`make user-add NAME=…` adds a member)"
    return "" if load_members(directory) else warning


def end_of(experiment: Experiment, name: str) -> str:
    ends = [f"{duration_text(experiment.ttl)} after the launch"] if experiment.ttl else []
    ends += [f"after {duration_text(experiment.idle_timeout)} without work"] if experiment.idle_timeout else []
    never = f"never (no ttl): run `make teardown EXP={name}`"
    return " or ".join(ends) or never


def _ready(session: Session, name: str, experiment: Experiment, reaches: Sequence[SshTarget]) -> Iterator[Event]:
    for reach in reaches:
        yield SshReady(experiment=name, host=reach.name, address=reach.address)
    can_log_in = session.cloud.instances_boot and load_members(session.directory)
    answers = can_log_in or stand_ins_answer(session)
    if experiment.command is not None and session.cloud.instances_boot:
        yield Info(text=f"  follow  make logs EXP={name}    make wait EXP={name}")
    which = f"EXP={name}" if len(reaches) == 1 else f"HOST={reaches[0].name}"
    ssh = f"make ssh {which}    " if answers else ""
    yield Info(text=f"  next    {ssh}make status    make teardown EXP={name}")
    if can_log_in:
        yield Info(text=f"  ssh     from anywhere: in ~/.ssh/config, {SshConfig(session.directory).include_line}")


def _tag_volumes(session: Session, name: str, instances: Sequence[Instance]) -> None:
    """Tag each volume with its deletion policy. A denied call is only a warning, because the instances already run."""
    try:
        tag_deletion_policies(session, instances)
    except AWS_ERRORS as problem:
        warn(
            f"{name}: the deletion policy of its volumes could not be tagged ({reason(problem)}); "
            f"`make teardown EXP={name}` tags them while their instance runs"
        )


def admitted(
    session: Session, name: str, base: str, experiment: Experiment, count: int
) -> AbstractContextManager[list[Budget]]:
    """Hold the budgets that apply to a launch. Raises UserError if it would exceed one."""
    if session.lab.budget is None and experiment.budget is None:
        return nullcontext([])
    return session.once(BudgetGuard).admitted(name, base, experiment, count)
