"""What the screen, or a program, is told of a watch: a line for each change, and one that shows how it stands."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from ec2lab import clock
from ec2lab.aws.error_codes import ApiError
from ec2lab.aws.tag_forms import NEVER
from ec2lab.capacity_pools import Pool
from ec2lab.console import Console
from ec2lab.instance_state import InstanceState
from ec2lab.launch.report import LaunchConsole
from ec2lab.printable import without_colours
from ec2lab.registry.record import parse_time
from ec2lab.resources.base import Resource
from ec2lab.runs.progress import ProgressPoller
from ec2lab.watch.dispatch import NotificationDispatcher
from ec2lab.watch.events import Ended, Interrupted, InterruptionStage, Refused, Running, WatchEvent
from ec2lab.watch.notifier import Notifier
from ec2lab.watch.watcher import DataLoaded, Happening, Remark, StateChanged, Watching

STYLES = {"refused": "yellow", "interrupted": "red", "relaunched": "green"}


class WatchConsole:
    """A console, and the notifiers."""

    def __init__(self, console: Console, name: str, notifiers: Iterable[Notifier]) -> None:
        self.console = console
        self.name = name
        self.notices = NotificationDispatcher(notifiers, self.remark)
        self._shown: Any = None

    def tell(self, happening: Happening) -> None:
        """Tell of one thing that happened."""
        match happening:
            case StateChanged(machine):
                where = machine.details.get("zone", machine.region)
                text = f"{self.name}  {machine.id}  {machine.shown_state}"
                is_up, why = machine.state == InstanceState.RUNNING, machine.state_reason.code
                what = f"  {machine.details.get('type', '')} in {where}" if is_up else ""
                self.console.say(text + what, "state", id=machine.id, state=machine.state, state_reason=why)
            case DataLoaded(machine):
                text = f"{self.name}  {machine.id}  its data is loaded"
                self.console.say(text, "loaded", id=machine.id)
            case Remark(text):
                self.remark(text)
            case WatchEvent():
                self._happened(happening)

    def _happened(self, event: WatchEvent) -> None:
        if not isinstance(event, Running):  # the machine's state was just told
            failed = isinstance(event, Ended) and event.exit_code
            style = "red" if failed else STYLES.get(event.name)
            if isinstance(event, Interrupted) and event.stage is InterruptionStage.AT_RISK:
                style = "yellow"
            fields = {key: value for key, value in event.as_fields().items() if key != "event"}
            self.console.say(event.text, event.name, style=style, **fields)
        self.notices.tell(event)

    def remark(self, text: str) -> None:
        """Say why something can't be told, or was not done."""
        self.console.say(text, "remark", style="yellow", said=text)

    def stands(self, watching: Watching) -> None:
        """Show how it stands: on a terminal in a line of its own, to programs where that has changed."""
        self.notices.check()
        every = list(watching.machines.values())
        last = [inquiry.last.line for inquiry in watching.inquiries.values() if inquiry.last.line]
        loading = [share for m in every if (share := watching.loaded.get(m.id)) not in (None, "", "100%")]
        line = without_colours(last[-1]) if last else ""
        left = time_left(every, watching.inquiries, watching.ttl, clock.now())
        if (loading, line) != self._shown and (loading or line):
            self._shown = (loading, line)
            if self.console.as_json:
                seconds = None if left is None else round(left.total_seconds())
                self.console.say("", "progress", loaded=loading, line=line, seconds_left=seconds)
        parts = [f"{self.name}: {counted(every)}"]
        parts += [f"data loaded {least(loading)}"] if loading else []
        parts += [f"{str(left).partition('.')[0]} left"] if left is not None else []
        parts += [line] if line else []
        self.console.progress("  ".join(parts)[: shutil.get_terminal_size().columns - 1])


class RelaunchReport(LaunchConsole):
    """A launch's report whose refusals notifiers hear of too."""

    def __init__(self, report: WatchConsole, name: str) -> None:
        super().__init__(report.console, name)
        self._notices = report.notices

    def refused(self, pool: Pool, refusal: ApiError) -> None:
        """Say what a pool answered."""
        super().refused(pool, refusal)
        event = Refused(
            experiment=self.name, region=pool.region, code=refusal.code, message=refusal.message,
            wanted=f"{pool.instance_type}  {pool.market}", meaning=refusal.category.value,
        )  # fmt: skip
        self._notices.tell(event)


def counted(machines: list[Resource]) -> str:
    """Return `i-… running`, or of several how many are how: `7 running, 1 pending`."""
    if not machines:
        return "no machine yet"
    if len(machines) == 1:
        return f"{machines[0].id} {machines[0].shown_state}"
    states = Counter(machine.state for machine in machines)
    return ", ".join(f"{number} {state}" for state, number in states.most_common())


def least(shares: list[str]) -> str:
    """Return the least of some shares: 7%, of 43% and 7%."""
    return min(shares, key=lambda share: int(share.rstrip("%")))


def time_left(
    machines: list[Resource], inquiries: dict[str, ProgressPoller], ttl: timedelta | None, now: datetime
) -> timedelta | None:
    """Return in which time the first machine ends itself: by its timer as heard, or its tags, or its ttl."""
    ends = []
    for machine in machines:
        heard = inquiries[machine.id].last.ends_at if machine.id in inquiries else None
        if heard is not None:
            ends.append(datetime.fromtimestamp(heard, UTC))
        elif told := machine.details.get("ends"):
            ends += [parse_time(told)] if told != NEVER else []
        elif ttl and machine.since:
            ends.append(datetime.fromisoformat(machine.since) + ttl)
    return max(timedelta(0), min(ends) - now) if ends else None
