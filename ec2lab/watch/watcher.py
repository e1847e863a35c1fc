"""Following an experiment: its instances in AWS, launches in the registry, and the state of its command."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

from ec2lab.aws.error_codes import TRANSIENT
from ec2lab.aws.errors import AWS_ERRORS, api_error, reason, rejection
from ec2lab.aws.region_queries import NoResponse, Responses
from ec2lab.aws.tags import from_aws
from ec2lab.capacity_pools import MarketType
from ec2lab.errors import UserError
from ec2lab.events import Event
from ec2lab.events.launch import LaunchRejected
from ec2lab.events.watch import (
    CommandExited,
    DataLoaded,
    ExperimentEnded,
    InstanceStateChanged,
    Interrupted,
    InterruptionStage,
    Relaunched,
    WatchWarning,
)
from ec2lab.instance_state import NO_REASON, InstanceState
from ec2lab.instances.status import NOT_FOUND, NOT_VISIBLE_YET, seen_running
from ec2lab.launch.shared_by_launches import SharedByLaunches
from ec2lab.polling import growing
from ec2lab.registry.history import ExperimentHistory, History, LaunchError
from ec2lab.registry.record import EXITED, parse_time
from ec2lab.registry.state import holdings
from ec2lab.resource import Resource
from ec2lab.resources.live_in_aws import is_new
from ec2lab.runs.exit_status import KILLED
from ec2lab.runs.progress import ProgressPoller
from ec2lab.runs.run import containers_of, last_run_in
from ec2lab.session import Session
from ec2lab.units import duration
from ec2lab.watch.spot_notices import INTERRUPTION_CODES, spot_statuses

POLL = 1.0, 15.0
"""Seconds between polls. AWS gives a spot instance two minutes, so 15 s lose little."""


Relaunch = Callable[[Sequence[str]], bool]
"""Launches again what AWS has taken away; returns whether it was wanted and done."""


@dataclass
class Watching:
    """The watch of one experiment. One description covers all its instances in a region."""

    session: Session
    name: str
    between: Callable[[], None] = lambda: None  # called after each poll, once its findings are reported
    instances: dict[str, Resource] = field(default_factory=dict)  # live instances by id, as last seen
    loaded: dict[str, str] = field(default_factory=dict)  # by id, how much of their data is loaded: 43%
    inquiries: dict[str, ProgressPoller] = field(default_factory=dict)
    """By id, the poller of the command's progress; also of instances that are gone."""
    _codes: dict[str, int] = field(default_factory=dict)
    _over: set[str] = field(default_factory=set)
    _taken: list[str] = field(default_factory=list)
    _reported: set[Any] = field(default_factory=set)  # what was reported and is reported only once
    history: History = field(default_factory=lambda: History(()))
    _saw_all: bool = False
    _began: bool = False
    _cut_short: bool = False  # whether a command ended because its instance was interrupted

    def events(self, relaunch: Relaunch) -> Iterator[Event]:
        """Yield events until no instance is left and nobody is launching any. Raises UserError, ClientError."""
        pauses = growing(*POLL)
        while True:
            acting = self.session.registry.lock_owner(self.name)  # first, so that everything launched until now is seen
            for happening in self._polled():
                pauses = growing(*POLL)
                yield happening
            if self._saw_all and not self.instances and not acting:
                if not (gone := self._to_relaunch()):
                    break
                if relaunch(gone):
                    self._forget(gone)
                    yield Relaunched(experiment=self.name, replaced=list(gone))
                self._reported |= {error.id for error in self._read().errors}  # the launch reported its own
                continue
            self.between()
            self.session.pause(next(pauses))
        yield from self._last_words()
        yield ExperimentEnded(experiment=self.name, exit_code=self._exit_code())

    def _forget(self, replaced: Iterable[str]) -> None:
        """Let the commands of instances go that others continue."""
        self._cut_short = False
        for identity in replaced:
            self.inquiries.pop(identity, None)
            self._codes.pop(identity, None)

    def _polled(self) -> Iterator[Event]:
        """Poll once; the watch goes on if AWS cannot be reached for a while."""
        self._saw_all = False
        try:
            yield from self._poll()
            self._reported.discard("no answer")
        except AWS_ERRORS as problem:
            if not is_passing(problem):
                raise
            self._saw_all = False
            yield from self._once("no answer", self._not_now("AWS", problem))

    def _poll(self) -> Iterator[Event]:
        self.history = self._read()
        yield from self._launch_errors()
        yield from self._states()
        yield from self._loading()
        yield from self._check_spot_notices()
        yield from self._commands()

    def _read(self) -> History:
        return History(r for r in self.session.records.current(self.name) if r.experiment == self.name)

    @property
    def past(self) -> ExperimentHistory:
        return self.history.of(self.name)

    @property
    def ttl(self) -> timedelta | None:
        written = (self.past.run or {}).get("experiment", {}).get("ttl")
        found: timedelta | None = duration(written) if written else None
        return found

    def _once(self, key: Any, *happenings: Event) -> Iterator[Event]:
        if key not in self._reported:
            self._reported.add(key)
            yield from happenings

    def _not_now(self, what: str, problem: Exception) -> WatchWarning:
        return self._warning(f"{self.name}: {what} can't be queried now ({as_said(problem)}); still trying")

    def _warning(self, message: str) -> WatchWarning:
        return WatchWarning(experiment=self.name, message=message)

    def _launch_errors(self) -> Iterator[Event]:
        """Report AWS's errors since the last poll, whichever process asked."""
        for error in self.history.errors:
            if self._began:
                yield from self._once(error.id, to_event(self.name, error))
            self._reported.add(error.id)
        self._began = True

    def _states(self) -> Iterator[Event]:
        """Report instances with a new state. Those ended in the registry are polled until AWS says how."""
        resource_type = self.session.resource_types["instance"]
        known = holdings(self.history.records, self.session.resource_types, self.name).live
        wanted = {
            r.id: r for r in known if r.resource_type == resource_type.name and r.id not in self._over
        } | self.instances
        batcher = self.session.once(SharedByLaunches).batcher
        responses = self.session.queries.run({
            (region, resource_type.name): partial(batcher(region).describe, [instance.id for instance in some])
            for region, some in by_region(wanted.values())
        })  # fmt: skip
        yield from self._unseen(responses)
        found = {instance["InstanceId"]: instance for some in responses.found.values() for instance in some}
        for instance in wanted.values():
            if (instance.region, resource_type.name) in responses.failures:
                continue
            shown = found.get(instance.id)
            if shown:
                described = resource_type.resource(shown, instance.region, from_aws(shown.get("Tags")))
                now = replace(described, recorded=instance.recorded)
            else:
                why = NOT_VISIBLE_YET if is_new(self.session, instance) else NOT_FOUND
                now = replace(instance, state=why, state_reason=NO_REASON)
            yield from self._is(now, ended=now.state == NOT_FOUND or bool(shown and resource_type.is_deleted(shown)))

    def _unseen(self, responses: Responses[list[Mapping[str, Any]]]) -> Iterator[Event]:
        """Report regions without a response once; the others are followed. Raises an error that all have for good."""
        failures = {region: problem for (region, _), problem in responses.failures.items()}
        self._saw_all = not failures
        lasting = [problem for problem in failures.values() if not is_passing(problem)]
        if lasting and not responses.found:
            raise lasting[0]
        for region, problem in failures.items():
            yield from self._once(("no answer", region), self._not_now(region, problem))
        for region, _ in responses.found:
            self._reported.discard(("no answer", region))

    def _is(self, instance: Resource, *, ended: bool) -> Iterator[Event]:
        before = self.instances.get(instance.id)
        self.instances[instance.id] = instance
        if (before.state if before else NOT_VISIBLE_YET) != instance.state:
            yield self._state_event(instance)
        if ended:
            del self.instances[instance.id]
            self._over.add(instance.id)
            if interrupted_by_aws(instance):
                self._taken.append(instance.id)
                yield self._interrupted(instance.id, InterruptionStage.TERMINATED, self._why(instance))

    def _state_event(self, instance: Resource) -> Event:
        if instance.state == InstanceState.RUNNING:
            return seen_running(self.name, instance)
        state, why = instance.state, instance.state_reason.code
        return InstanceStateChanged(experiment=self.name, instance=instance.id, state=state, state_reason=why)

    def _why(self, instance: Resource) -> str:
        """Return why AWS ended an instance: a spot request's status says more than the instance's state."""
        statuses: Iterable[tuple[str, str, str]] = ()
        if instance.details.get("market") == MarketType.SPOT and "no notices" not in self._reported:
            with suppress(*AWS_ERRORS):  # optional
                statuses = list(spot_statuses(self.session.cloud, instance.region, [instance.id]))
        return next((f"{code}: {message}" for _, code, message in statuses), instance.shown_state)

    def _interrupted(self, instance: str, stage: InterruptionStage, why: str) -> Interrupted:
        return Interrupted(experiment=self.name, instance=instance, stage=stage, reason=why)

    def _loading(self) -> Iterator[Event]:
        resource_type = self.session.resource_types["instance"]
        loading = [m for m in self.instances.values() if m.details.get("data") and self.loaded.get(m.id) != "100%"]
        for region, some in by_region(loading):
            try:
                details = self.session.queries.run_one(
                    partial(resource_type.extra_details, self.session.cloud, region, some)
                )
            except (*AWS_ERRORS, NoResponse) as problem:
                remark = f"{self.name}: {region}: how far data is loaded is unknown ({reason(problem)})"
                yield from self._once(("loading", region), self._warning(remark))
                continue
            for instance in some:
                before, now = self.loaded.get(instance.id), details.get(instance.id, {}).get("loaded", "")
                self.loaded[instance.id] = now
                if now == "100%" and before:
                    yield DataLoaded(experiment=self.name, instance=instance.id)

    def _check_spot_notices(self) -> Iterator[Event]:
        """Report spot instances marked for interruption, two minutes ahead."""
        running = [m for m in self.instances.values() if m.state == InstanceState.RUNNING]
        spot = [m for m in running if m.details.get("market") == MarketType.SPOT]
        for region, some in by_region(spot) if "no notices" not in self._reported else ():
            try:
                found = list(spot_statuses(self.session.cloud, region, (instance.id for instance in some)))
            except AWS_ERRORS as problem:
                if is_passing(problem):
                    raise
                why = f"{self.name}: no notice of spot interruptions in {region}: {reason(problem)}"
                yield from self._once("no notices", self._warning(why))
                return
            for instance, code, message in found:
                if code in INTERRUPTION_CODES:
                    yield from self._notice(instance, f"{code}: {message}" if message else code)

    def _notice(self, instance: str, why: str) -> Iterator[Event]:
        return self._once(
            (instance, InterruptionStage.NOTICE), self._interrupted(instance, InterruptionStage.NOTICE, why)
        )

    def _commands(self) -> Iterator[Event]:
        self._start_pollers()
        for identity, inquiry in self.inquiries.items():
            if identity in self.instances and self.instances[identity].state == InstanceState.RUNNING:
                inquiry.ask()
            yield from self._answered(identity, inquiry)
        self._put_on_record()
        self._record_containers()

    def _record_containers(self) -> None:
        """Record the digests of the container image once all instances have pulled it."""
        digests = [inquiry.last.container for inquiry in self.inquiries.values()]
        if digests and all(digests) and not self.past.containers:
            self.session.recorder.annotate(**containers_of(digests))
            self.history = self._read()

    def _start_pollers(self) -> None:
        launched = self.past.launched or ()
        if new := [identity for identity in launched if (identity, "run") not in self._reported]:
            self._reported.update((identity, "run") for identity in new)
            try:
                runs = last_run_in(self.session, self.history, self.name)
            except UserError:
                return  # launched without a command
            self.inquiries |= {run.instance: ProgressPoller(run) for run in runs if run.instance in new}

    def _answered(self, identity: str, inquiry: ProgressPoller) -> Iterator[Event]:
        said = inquiry.last
        if said.problem:
            yield from self._once(said.problem, self._warning(said.problem))
        if said.rebalance:
            why = f"AWS recommends replacing it, since {said.rebalance}"
            yield from self._once(
                (identity, InterruptionStage.AT_RISK), self._interrupted(identity, InterruptionStage.AT_RISK, why)
            )
        if said.interruption:
            yield from self._notice(identity, said.interruption)
        if said.ending and identity not in self._codes:
            self._codes[identity] = said.ending.exit_code
            self._cut_short |= bool(said.ending.interrupted)
            yield CommandExited(experiment=self.name, instance=identity, exit_code=said.ending.exit_code)

    def _put_on_record(self) -> None:
        """Record how the command ended on all instances, as `make wait` does, unless it is recorded."""
        ended = self._codes.keys() >= self.inquiries.keys() and not self._cut_short
        if self.inquiries and ended and self.past.exit_code is None:
            self.session.recorder.annotate(**{EXITED: {"exit_code": self._exit_code()}})
            self.history = self._read()

    def _last_words(self) -> Iterator[Event]:
        """Read the log bucket for instances that ended themselves."""
        for identity, inquiry in self.inquiries.items():
            if identity not in self._codes and inquiry.run.bucket:
                try:
                    inquiry.last = inquiry.from_bucket()
                except UserError as problem:
                    inquiry.last = replace(inquiry.last, problem=str(problem))
                yield from self._answered(identity, inquiry)
        self._put_on_record()
        self._record_containers()

    def _exit_code(self) -> int | None:
        if self._codes:
            return next((code for code in self._codes.values() if code), 0)
        return self.past.exit_code

    def _to_relaunch(self) -> tuple[str, ...]:
        """Return the instances that AWS ended before their command; empty if the experiment was torn down meanwhile."""
        gone, self._taken = self._taken, []
        return () if self.past.torn_down else tuple(identity for identity in gone if not self._is_finished(identity))

    def _is_finished(self, identity: str) -> bool:
        """Return whether the command of an instance that AWS ended had ended by itself: a relaunch would repeat it."""
        if (inquiry := self.inquiries.get(identity)) is None:
            return False
        ending = inquiry.last.ending
        if ending is None and inquiry.run.bucket:
            with suppress(UserError):
                ending = inquiry.from_bucket().ending
        return ending is not None and not ending.interrupted and ending.exit_code <= KILLED


def by_region(instances: Iterable[Resource]) -> list[tuple[str, list[Resource]]]:
    every = list(instances)
    return [(region, [m for m in every if m.region == region]) for region in sorted({m.region for m in every})]


def is_passing(problem: Exception) -> bool:
    return isinstance(problem, NoResponse) or (
        isinstance(problem, AWS_ERRORS) and api_error(problem).category in TRANSIENT
    )


def as_said(problem: Exception) -> str:
    """Return in a few words why AWS does not respond; its full message where waiting does not help."""
    return str(api_error(problem)) if isinstance(problem, AWS_ERRORS) and is_passing(problem) else reason(problem)


def interrupted_by_aws(instance: Resource) -> bool:
    return instance.state == InstanceState.TERMINATED and instance.state_reason.is_aws


def to_event(name: str, error: LaunchError) -> LaunchRejected:
    return LaunchRejected(
        time=parse_time(error.at), experiment=name, region=error.region, zone=None, subnet=None,
        instance_type=error.type, market=error.market, instance=" ".join(error.instances) or None,
        **rejection(error.error),
    )  # fmt: skip
