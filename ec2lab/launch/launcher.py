"""One launch: pool after pool is asked until the machines run; what fails on the way is taken down again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ec2lab import clock
from ec2lab.aws.authorization import in_words
from ec2lab.aws.error_codes import STOPS, ApiError, ErrorCategory
from ec2lab.aws.errors import AWS_ERRORS, described, format_code, reason
from ec2lab.aws.region_queries import NoResponse
from ec2lab.config.models import Experiment
from ec2lab.console import warn
from ec2lab.errors import LabError
from ec2lab.hosts.inventory import by_launch_order
from ec2lab.hosts.ssh_config import SshConfig, SshTarget
from ec2lab.instances.teardown import delete_experiment
from ec2lab.interrupts import INTERRUPTS
from ec2lab.launch.launched_instances import LaunchedInstances
from ec2lab.launch.listener import Listener
from ec2lab.launch.lost_request import is_wanted, same_request
from ec2lab.launch.part import RegionUnavailable
from ec2lab.launch.region_specs import (
    Failure,
    RegionSpecs,
    Zones,
    known,
    zones_by_instance_type,
    zones_with_default_subnet,
)
from ec2lab.launch.request import build_request
from ec2lab.launch.reserved import look_at_reservations
from ec2lab.launch.resume import LAUNCHED, RAN_ON, RUN, AlreadyRunning, instances_of_interrupted_launch, requests_of
from ec2lab.launch.run_instances import Instance, Refused, Unclear, ask
from ec2lab.launch.run_spec import RunSpec
from ec2lab.launch.search import PlacementPreferences, Pool, Search, wishes
from ec2lab.launch.wait_for_boot import set_up, tell_of_no_key
from ec2lab.polling import pauses
from ec2lab.registry.evidence import token_of
from ec2lab.registry.history import FAILED
from ec2lab.registry.reconcile import reconcile
from ec2lab.registry.record import Record, new_id
from ec2lab.registry.redaction import text_without_secrets
from ec2lab.registry.state import GONE, SETTLED
from ec2lab.resources.base import Resource
from ec2lab.runs.kept_code import keep
from ec2lab.runs.upload import Delivery, check_ssh_access, upload_code
from ec2lab.session import Session
from ec2lab.volumes.deletion_policy import tag_deletion_policies

if TYPE_CHECKING:
    from ec2lab.costs.budget import Budget

T = TypeVar("T")


@dataclass
class Launch:
    """The launch of one experiment's machines: `count` of them, at the least `at_least`, or none."""

    session: Session
    name: str
    experiment: Experiment
    listener: Listener
    count: int = 1
    at_least: int = 1
    noted: Mapping[str, Any] | None = None
    """What is to be recorded of what is run."""
    is_all: bool = True
    """Whether the launch is done once the machines run; else the caller says so on record (`launched`)."""
    _may_hold_something: bool = False
    _has_asked: bool = False

    @cached_property
    def instances(self) -> LaunchedInstances:
        """What is had so far."""
        return LaunchedInstances(self.session)

    @cached_property
    def shares(self) -> RegionSpecs:
        """What the launch needs in each region."""
        return RegionSpecs(self.session, self.name, self.experiment)

    @cached_property
    def search(self) -> Search:
        """Where is asked, and in which order."""
        return Search(self.wishes, lambda region, instance_type: self._zones(region).to_try(instance_type))

    @cached_property
    def wishes(self) -> PlacementPreferences:
        """What the experiment would take."""
        return wishes(self.session.lab, self.name, self.experiment)

    @cached_property
    def _zones(self) -> Callable[[str], Zones]:
        return cache(self._look_at_zones)

    def _look_at_zones(self, region: str) -> Zones:
        def unknown(problem: Failure) -> None:
            warn(f"which zones to try is known in part: {described(problem)}")

        def in_time(ask: Callable[[], T]) -> T | None:
            try:
                return self.session.query_one(lambda: known(ask, unknown))
            except NoResponse as silent:
                warn(f"which zones to try is known in part: {region}: {silent}")
                return None

        ec2, types = self.session.cloud.ec2(region), self.experiment.types
        # Both at the same time: every region has refused by now, and others look for capacity too.
        default = self.session.threads.submit(in_time, lambda: zones_with_default_subnet(ec2))
        return Zones(in_time(lambda: zones_by_instance_type(ec2, types)), default.result())

    @property
    def missing(self) -> int:
        """How many machines are neither running nor starting."""
        return self.count - len(self.instances.ids)

    @property
    def _is_all_or_nothing(self) -> bool:
        return self.experiment.nodes > 1

    @property
    def _least(self) -> int:
        return self.missing if self._is_all_or_nothing else 1

    def run(self) -> list[Instance]:
        """Return the running machines' descriptions. Raises LabError where too few are to be had; then none is left.

        A launch that was cut off (a crash, a power cut) is gone on with: what it made is taken up, and only what is
        missing is looked for.
        """
        with self._taking_down_on_failure():
            left = instances_of_interrupted_launch(self.session, self.name, self._ask_again)
            if self.noted:
                self.session.recorder.note(**{RUN: dict(self.noted)})
            self._adopt(left)
            if self.missing > 0:
                self._rounds()
            if len(self.instances.running) < self.at_least:
                self._check_offers()
                self.listener.in_vain(self.search)
                raise LabError(self._in_vain())
            if self.is_all:
                self.launched()
        return by_launch_order(self.instances.running)

    def launched(self) -> None:
        """Put on record that the launch ended well, and what its machines were made from."""
        ids = [machine["InstanceId"] for machine in by_launch_order(self.instances.running)]
        self.session.recorder.note(**{LAUNCHED: ids, RAN_ON: self.instances.origins})

    def _ask_again(self, intent: Record) -> None:
        """Send a request whose response was lost again, where the same would be asked for now.

        By its ClientToken AWS answers with what the first one made, or makes it now: either is what is wanted.
        """
        if intent.operation != "RunInstances" or not is_wanted(intent, self.wishes, self.missing):
            return
        self._may_hold_something |= self._is_all_or_nothing
        if not (request := same_request(self.session, self.shares, intent)):
            return
        self._may_hold_something = self._has_asked = True
        region = str(intent.region)
        # Nothing was made, as far as it says, or it stays for AWS to show; the search asks in its own order.
        with suppress(Refused, Unclear):
            ask(
                self.session.cloud.ec2_no_retry(region), request, token_of(intent),
                self.session.launch_limiter(region), renew=False,
            )  # fmt: skip

    def _adopt(self, left: Sequence[Resource]) -> None:
        """Wait for machines that an earlier run made as for those of this one."""
        if not left:
            return
        self._may_hold_something = True
        self.listener.taken_up(left)
        requests = requests_of(self.session, self.name, left)
        for region in sorted({machine.region for machine in left}):
            ids = {machine.id for machine in left if machine.region == region}
            request = next((requests[identity] for identity in sorted(ids) if identity in requests), {})
            self.instances.add(Pool(region, str(request.get("InstanceType", "")), "earlier"), ids, request)
        self._wait()

    def _rounds(self) -> None:
        """Ask in rounds until nothing is missing, nobody is left to ask, or the time is over."""
        began = clock.monotonic()
        retry_for = self.experiment.retry_for.total_seconds()
        self._round()
        for pause in pauses(retry_for, lambda: clock.monotonic() - began):
            if not self.missing or self.search.exhausted():
                return
            self.listener.next_round(pause, retry_for - (clock.monotonic() - began))
            self.session.pause(pause)
            self._round()

    def _round(self) -> None:
        look_at_reservations(self.session.cloud, self.wishes, self.search)
        for pool in self.search.round():
            if lack := self.search.lack(pool, self._least):
                self._refused(pool, ApiError("ReservationCapacityExceeded", lack))
            elif self._is_ready(pool):
                self._ask(pool)
            if not self.missing:
                self._wait()
            if not self.missing:
                return
        self._wait()

    def _is_ready(self, pool: Pool) -> bool:
        """Have all at hand that a machine there needs; False where the region lacks something."""
        try:
            # What AWS would refuse is refused here, before anything is made.
            build_request(self.shares.plain(pool.region), pool)
            # Nodes have groups of their own, made for them before the first machine is.
            self._may_hold_something |= self._is_all_or_nothing
            self.shares.ready(pool.region)
        except RegionUnavailable as lack:
            self._leave_out(pool.region, lack)
            return False
        return True

    def _check_offers(self) -> None:
        """Look up whether what was refused as not supported is not offered: that is one cause of several."""
        refused = [pool for pool, e in self.search.refusals.items() if e.category is ErrorCategory.NOT_OFFERED]
        for region, instance_type in {(pool.region, pool.instance_type) for pool in refused}:
            if self._zones(region).exclusion_reason(instance_type, region, None):
                self.search.unoffered.add((region, instance_type))

    def _leave_out(self, region: str, lack: RegionUnavailable) -> None:
        if lack.may_pass:
            self.search.pass_over(region, str(lack))
            self.shares.look_again(region)
        else:
            self.search.exclude_region(region, str(lack), lack.error)
        self.listener.region_unready(region, str(lack))

    def _ask(self, pool: Pool) -> None:
        """Ask a pool for all that is missing, and keep what it gives."""
        request = build_request(self.shares.ready(pool.region), pool, self.missing, self._least)
        ec2 = self.session.cloud.ec2_no_retry(pool.region)
        # Should this pool refuse, the next region can be asked at once.
        self.shares.warm_up(region for region in self.wishes.regions if region != pool.region)
        held, self._may_hold_something, self._has_asked = self._may_hold_something, True, True
        try:
            made = ask(ec2, request, new_id(), self.session.launch_limiter(pool.region))
        except Refused as no:
            self._may_hold_something = held
            self._refused(pool, no.refusal)
            return
        except Unclear as lost:
            self._reconcile(pool, request, lost)
            return
        self.instances.add(pool, {machine["InstanceId"] for machine in made}, request)
        self.listener.started(pool, made, self.missing)

    def _reconcile(self, pool: Pool, request: Mapping[str, Any], lost: Unclear) -> None:
        """Learn from AWS whether a request made something whose responses were all lost; if not, go on elsewhere."""
        shown = [r for r in reconcile(self.session, self.name) if (r.kind, r.region) == ("instance", pool.region)]
        if found := {resource.id for resource in shown} - self.instances.ids:
            self.instances.add(pool, found, request)
        else:
            self._refused(pool, lost.error)
            self.search.pass_over(pool.region, str(lost))

    def _wait(self) -> None:
        """Wait until every machine that starts either runs or has died, which is a refusal that came late."""
        for pool, error in self.instances.settle(self.listener.waiting):
            self._refused(pool, error)
        if self._is_all_or_nothing and self.missing:
            # What is asked for next stands elsewhere.
            self.instances.give_back(self.listener.deleted)

    def _refused(self, pool: Pool, refusal: ApiError) -> None:
        self.search.refused(pool, refusal)
        self.listener.refused(pool, refusal)
        if refusal.category in STOPS:
            raise LabError(self._in_words(replace(refusal, region=pool.region)))
        # While this region is still being asked, the others can be looked at.
        self.shares.prefetch(self.wishes.regions)

    def _taking_down_on_failure(self) -> AbstractContextManager[None]:
        """Take down what was made, whatever ends the block early: an instance that nobody knows of costs money."""
        return INTERRUPTS.undone_on_failure(self._undo, f"`make teardown EXP={self.name}` deletes it")

    def _undo(self, problem: BaseException) -> None:
        # A sweep that is interrupted is gone on with: it keeps what it has.
        if not isinstance(problem, AlreadyRunning) and not self.session.over.is_set():
            self._take_down(problem) if self._may_hold_something else self._record_clean_failure()

    def _record_clean_failure(self) -> None:
        """Put on record that all that was asked for was refused, so that its records need not stay at hand."""
        if self._has_asked:
            with suppress(LabError):  # why the launch failed is the thing to say; they stay at hand a while longer
                self.session.recorder.note(**{GONE: [], SETTLED: []})

    def _take_down(self, problem: BaseException) -> None:
        try:
            self.listener.taking_down()
            delete_experiment(self.session, self.name, self.listener.deleted)
        except BaseException as failure:
            first, second = (_reason(error) or "interrupted" for error in (problem, failure))
            how = f"run `make teardown EXP={self.name}`"
            raise LabError(f"{first}; and what was made could not be taken down ({second}): {how}") from failure

    def _in_words(self, error: ApiError) -> str:
        message = in_words(self.session.cloud, error.region, error)
        return f"{error.region}: {format_code(error.code, message)}"

    def _in_vain(self) -> str:
        """Return why there are too few machines, in one line."""
        if error := self.search.said_everywhere():
            return self._in_words(error) + ("; so says every region" if len(self.wishes.regions) > 1 else "")
        if not self.search.refusals:
            return f"{self.name}: no region will do: {'; '.join(self.search.reasons())}"
        had = (
            f"{len(self.instances.running)} of {self.at_least} machines were"
            if self.instances.running
            else "no machine was"
        )
        return f"{self.name}: {had} to be had; {len(self.search.refusals)} pools were asked"


def _reason(error: BaseException) -> str:
    return described(error) if isinstance(error, AWS_ERRORS) else str(error)


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
    """Launch an experiment that the caller acts on alone; what it was defined as is recorded.

    Raises LabError: NotReached where the machines run and their set-up could not be seen to.
    """
    session.expect_free(name)
    SshConfig(session.directory).expect_own()
    if experiment.nodes > 1:
        count = at_least = experiment.nodes
    base = defined.base if defined else name
    with _failure_recorded(session), admitted(session, name, base, experiment, count) as budgets:
        check_ssh_access(session, name, experiment)
        run = defined.with_code(session.directory) if defined else None
        if run and run.pack:
            keep(session.directory, run.pack.tar)
        report.begins(session, experiment, count)
        report.within(budgets)
        tell_of_no_key(session, name, report.on_setup)
        launch = Launch(
            session, name, experiment, report, count, at_least,
            noted=run.as_note() if run else None, is_all=not experiment.needs_code_upload,
        )  # fmt: skip
        machines = launch.run()
        report.lives(session, machines)
        _mark(session, name, machines)
        done = set_up(session, name, experiment, machines, report.on_setup)
        if experiment.needs_code_upload and not done.shut:
            delivery = Delivery(name, experiment, run.pack if run else None, machines)
            upload_code(session, name, delivery, done.reaches, report.on_setup)
            launch.launched()
        report.reached(session, done.reaches)
        done.expect_seen(name)


@contextmanager
def _failure_recorded(session: Session) -> Iterator[None]:
    """Put on record why a launch fails, or is refused."""
    try:
        yield
    except AlreadyRunning:
        raise
    except (LabError, *AWS_ERRORS) as problem:
        with suppress(LabError):  # why the launch failed is the thing to say
            session.recorder.note(**{FAILED: text_without_secrets(_reason(problem))})
        raise


def _mark(session: Session, name: str, machines: Sequence[Instance]) -> None:
    """Say on each volume what becomes of it. The machines run and say so too: where AWS refuses, that is only told."""
    try:
        tag_deletion_policies(session, machines)
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
