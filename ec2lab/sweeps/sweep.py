"""A sweep: many launches at once, each with its own experiment and lock, paced to AWS's request quotas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from enum import StrEnum

from ec2lab import clock
from ec2lab.aws.errors import in_words
from ec2lab.config.models import Experiment
from ec2lab.config.parameters import Variation, chosen
from ec2lab.context import ContextThreadPool, working_on
from ec2lab.costs.pricing import pricing
from ec2lab.errors import UserError
from ec2lab.events import Emit, Event
from ec2lab.events.launch import InstanceRunning
from ec2lab.events.runs import TrialFinished
from ec2lab.interrupts import INTERRUPTS
from ec2lab.launch.launcher import launch_experiment
from ec2lab.launch.resume import AlreadyRunning
from ec2lab.launch.run_spec import RunSpec
from ec2lab.registry.history import ExperimentHistory, History
from ec2lab.session import Session

AT_ONCE = 128  # concurrent launches; most of them wait for an instance to boot


class State(StrEnum):
    RUNS = "runs"
    RUNS_ALREADY = "runs already"
    LAUNCHED_BEFORE = "was launched before"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TrialResult:
    variation: Variation
    state: State
    why: str = ""
    seconds: float = 0.0
    running: Sequence[InstanceRunning] = ()
    exit_code: int | None = None

    def event(self) -> TrialFinished:
        first, more = next(iter(self.running), None), len(self.running) - 1
        return TrialFinished(
            experiment=self.variation.name, state=self.state.value, reason=self.why, seconds=round(self.seconds, 3),
            instance=f"{first.id}{f' and {more} more' if more else ''}, {first.type} in {first.zone}" if first else "",
            exit_code=self.exit_code, parameters=dict(self.variation.parameters),
        )  # fmt: skip


@dataclass
class Sweep:
    session: Session
    spec: RunSpec  # the experiment's file, its matrix too, and the code of all trials
    emit: Emit
    command: str  # how the next one is run, which launches the rest
    history: History  # what was on record when this sweep began
    retries_failed: bool = False
    """Whether trials whose command failed are launched again; one whose instance is still live can't be."""

    def run(self, variations: Sequence[Variation]) -> list[TrialResult]:
        """Launch variations, and return their outcomes in order; Ctrl-C leaves running instances to the next sweep."""
        outcomes: dict[str, TrialResult] = {}
        with ContextThreadPool(AT_ONCE) as threads:
            launches = {threads.submit(self._launched, variation): variation for variation in variations}
            with self._let_end_on_failure(threads):
                for outcome in as_completed(launches):
                    outcomes[outcome.variation.name] = outcome
                    self.emit(outcome.event())
        return [outcomes[variation.name] for variation in variations]

    def _let_end_on_failure(self, threads: ContextThreadPool) -> AbstractContextManager[None]:
        def let_end(_: BaseException) -> None:
            self.session.over.set()
            threads.shutdown(wait=True, cancel_futures=True)

        what = "waiting for the launches that are on their way"
        return INTERRUPTS.undone_on_failure(let_end, f"`{self.command}` goes on with it", what)

    def _launched(self, variation: Variation) -> TrialResult:
        began = clock.monotonic()
        name = variation.name
        written = chosen(self.spec.written, variation.parameters, f"experiments/{self.spec.base}.toml")
        definition = replace(self.spec, written=written)
        experiment: Experiment = definition.experiment
        running: list[InstanceRunning] = []

        def emit(event: Event) -> None:
            if isinstance(event, InstanceRunning):
                running.append(event)
            self.emit(event)

        try:
            with in_words(), working_on(name), self.session.registry.lock_experiment(name, "sweep"):
                if meanwhile := self._launched_meanwhile(variation):
                    return meanwhile
                launch_experiment(self.session, name, experiment, emit, defined=definition)
        except AlreadyRunning as problem:
            if self.retries_failed and self.history.of(name).exit_code:
                return TrialResult(variation, State.FAILED, str(problem))
            return TrialResult(variation, State.RUNS_ALREADY)
        except UserError as problem:
            return TrialResult(variation, State.FAILED, str(problem), clock.monotonic() - began)
        return TrialResult(variation, State.RUNS, seconds=clock.monotonic() - began, running=running)

    def _launched_meanwhile(self, variation: Variation) -> TrialResult | None:
        """Return that another sweep has launched a trial since this one began, even if it has ended by now."""
        past = History(self.session.records.current(variation.name)).of(variation.name)
        if not past.is_launched or past.launched == self.history.of(variation.name).launched:
            return None
        return TrialResult(variation, State.LAUNCHED_BEFORE, exit_code=past.exit_code)


def as_completed(launches: Mapping[Future[TrialResult], Variation]) -> Iterable[TrialResult]:
    """Yield outcomes as they come; waits are short so that Ctrl-C is noticed."""
    left = set(launches)
    while left:
        done, left = wait(left, timeout=0.5, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


def pending_trials(variations: Sequence[Variation], history: History, *, failed: bool, again: bool) -> list[Variation]:
    """Return which trials are to be launched: those whose last launch did not end well, or that never had one.

    With `failed`, those whose command failed too; with `again`, all.
    """

    def is_pending(past: ExperimentHistory) -> bool:
        return again or not past.is_launched or (failed and bool(past.exit_code))

    return [variation for variation in variations if is_pending(history.of(variation.name))]


def launched_before(
    variations: Sequence[Variation], pending: Sequence[Variation], history: History
) -> list[TrialResult]:
    """Return, of the trials that are not pending, how their commands ended as far as that is recorded."""
    names = {variation.name for variation in pending}
    return [
        TrialResult(variation, State.LAUNCHED_BEFORE, exit_code=history.of(variation.name).exit_code)
        for variation in variations
        if variation.name not in names
    ]


FEW = 100  # the number of instances launched without confirmation


def require_confirmation(session: Session, base: str, experiment: Experiment, count: int, *, given: bool) -> None:
    """Raise UserError with the size and cost of a large sweep that was not confirmed."""
    if count <= FEW or given:
        return
    raise UserError(
        f"EXP: {base!r} would launch {count} instances, {_cost(session, experiment, count)}; "
        'YES=1 launches them, or PARAMS="name=value" fixes a parameter'
    )


def _cost(session: Session, experiment: Experiment, count: int) -> str:
    region = (experiment.regions or session.lab.regions)[0]
    book = pricing(session).book
    listed = [book.instance_hour(region, instance_type) for instance_type in experiment.instance_types]
    known = [price for price in listed if price is not None]
    return (
        f"for up to ${max(known) * count:,.2f} an hour" if len(known) == len(listed) else "at a price that is not known"
    )
