"""What the screen, or a program, is told of a sweep: a line for each launch while it is on its way, then a summary."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ec2lab.aws.error_codes import ApiError
from ec2lab.capacity_pools import Pool
from ec2lab.config.models import Experiment
from ec2lab.config.parameters import Variation
from ec2lab.console import Console
from ec2lab.costs.budget import Budget
from ec2lab.events import Event
from ec2lab.hosts.inventory import region_of
from ec2lab.hosts.ssh_config import SshTarget
from ec2lab.launch.report import nobody_can_log_in
from ec2lab.launch.run_instances import Instance
from ec2lab.launch.search import Search
from ec2lab.printable import printable
from ec2lab.rendering import render
from ec2lab.resources.base import Resource
from ec2lab.session import Session
from ec2lab.sweeps.sweep import Outcome, State

if TYPE_CHECKING:
    from rich.live import Live

STYLES = {State.RUNS: "green", State.FAILED: "red", State.RUNS_ALREADY: None, State.DONE: None}


class TrialStatus:
    """A listener of one launch, that keeps what was last to be said of it."""

    def __init__(self, report: SweepConsole, name: str) -> None:
        self._report = report
        self.name = name
        self.machine = ""

    def _now(self, text: str) -> None:
        self._report.now(self.name, text)

    def begins(self, session: Session, experiment: Experiment, count: int) -> None:
        """Say nothing: the sweep has said it."""

    def within(self, budgets: Sequence[Budget]) -> None:
        """Say nothing: a launch that would pass one fails, and says so."""

    def refused(self, pool: Pool, refusal: ApiError) -> None:
        """Say what a pool answered."""
        self._now(f"{pool}  {refusal.code}")

    def region_unready(self, region: str, reason: str) -> None:
        """Say why a region is passed over."""
        self._now(f"{region}  skipped: {reason}")

    def taken_up(self, machines: Sequence[Resource]) -> None:
        """Say that an earlier launch was cut off."""
        self._now(f"{machines[0].id} of an earlier run is taken up")

    def started(self, pool: Pool, machines: Sequence[Instance], missing: int) -> None:
        """Say which machine was made."""
        del missing
        self._now(f"{pool}  {machines[0]['InstanceId']} starts")

    def waiting(self, seconds: float) -> None:
        """Say nothing: it was said that it starts."""

    def next_round(self, seconds: float, left: float) -> None:
        """Say when all pools are asked again."""
        self._now(f"all refused; asking again in {seconds:.0f} s, for another {left / 60:.0f} min")

    def in_vain(self, search: Search) -> None:
        """Say nothing: the outcome says it."""

    def taking_down(self) -> None:
        """Say that what was made is deleted again."""
        self._now("taking down what was made")

    def deleted(self, event: Event) -> None:
        """Say what is being deleted."""
        for line in render(event)[0]:
            self._now(line.strip())

    def lives(self, session: Session, machines: Sequence[Instance]) -> None:
        """Keep what runs where; of nodes, which stand side by side, the first."""
        first, *others = machines
        found = session.kinds["instance"].resource(first, region_of(first), {})
        more = f" and {len(others)} more" if others else ""
        self.machine = f"{found.id}{more}, {found.details['type']} in {found.details['zone']}"
        self._now(f"{self.machine}; its set-up is waited for")

    def on_setup(self, said: str) -> None:
        """Say how far the set-up is."""
        self._now(said)

    def reached(self, session: Session, reaches: Sequence[SshTarget]) -> None:
        """Say nothing more: `make ssh` knows the way."""


class SweepConsole:
    """A listener of a whole sweep that speaks to a console; any thread may call it."""

    def __init__(self, console: Console, base: str) -> None:
        self.console = console
        self.base = base
        self._lines: dict[str, TrialStatus] = {}
        self._said: dict[str, str] = {}
        self._lock = threading.Lock()
        self._live: Live | None = None

    def begins(self, session: Session, experiment: Experiment, variations: Sequence[Variation], done: int) -> None:
        """Say what is going to be launched."""
        self.console.hint(session.cloud.banner)
        before = f", {done} were launched before" if done else ""
        types = " or ".join(experiment.instance_types)
        text = f"{self.base}: {len(variations)} to launch{before}; {types}, {' or '.join(map(str, experiment.markets))}"
        names = [variation.name for variation in variations]
        self.console.say(text, "begins", experiment=self.base, launching=names, launched_before=done)
        self.console.hint(nobody_can_log_in(session))

    def line(self, variation: Variation) -> TrialStatus:
        """Return who is told of one launch."""
        with self._lock:
            return self._lines.setdefault(variation.name, TrialStatus(self, variation.name))

    def now(self, name: str, text: str) -> None:
        """Show what one launch is at, on a terminal."""
        with self._lock:
            self._said[name] = text
            self._draw()

    def ended(self, outcome: Outcome) -> None:
        """Say what became of one."""
        name = outcome.variation.name
        with self._lock:
            self._said.pop(name, None)
            machine = self._lines[name].machine if name in self._lines else ""
            what = {State.RUNS: f"{machine}, after {outcome.seconds:.0f} s", State.FAILED: f"failed: {outcome.why}"}
            self.console.say(
                f"  {name}  {what.get(outcome.state, outcome.state.value)}", "variation", style=STYLES[outcome.state],
                experiment=name, state=outcome.state.value, why=outcome.why, seconds=round(outcome.seconds, 3),
                parameters=dict(outcome.variation.parameters),
            )  # fmt: skip
            self._draw()

    def on_finish(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Say how it went, and what to do next."""
        counts = Counter(outcome.state.value for outcome in outcomes)
        words = {State.RUNS.value: "run", State.RUNS_ALREADY.value: "ran already"}
        told = ", ".join(f"{count} {words.get(state, state)}" for state, count in counts.items())
        told = told or "nothing was to be launched"
        self.console.say(
            f"{self.base}: {told}, after {seconds:.0f} s", "sum", experiment=self.base, seconds=round(seconds, 3),
            outcomes=dict(counts),
        )  # fmt: skip
        if counts[State.FAILED.value]:
            self.console.hint(f"  next    make sweep EXP={self.base} launches those that failed")
        if not outcomes:
            self.console.hint(
                f'  again   make launch EXP=NAME BASE={self.base} PARAMS="…" launches one that was taken down'
            )
        self.console.hint(f"  end     make teardown EXP='{self.base}-*'")

    def interrupted(self) -> None:
        """Say how to go on."""
        goes_on, ends = f"make sweep EXP={self.base}", f"make teardown EXP='{self.base}-*'"
        self.console.hint(f"what runs goes on running; `{goes_on}` launches the rest, `{ends}` ends it")

    @contextmanager
    def live_display(self) -> Iterator[None]:
        """Show the launches that are on their way at the foot of the terminal, if it is one."""
        if self.console.as_json or not sys.stdout.isatty():
            yield
            return
        from rich.live import Live

        with Live(refresh_per_second=8, transient=True, vertical_overflow="ellipsis") as self._live:
            yield
        self._live = None

    def _draw(self) -> None:
        if self._live is None:
            return
        from rich.text import Text

        lines = [printable(f"  {name}  {text}") for name, text in self._said.items()]
        self._live.update(Text("\n".join(lines), no_wrap=True, overflow="ellipsis", style="dim"))
