"""The state of a watched experiment on the screen and in JSON, between events."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from ec2lab import clock
from ec2lab.aws.tag_forms import NEVER
from ec2lab.console import Console
from ec2lab.events import Event
from ec2lab.events.launch import InstanceRunning
from ec2lab.events.watch import RunProgress, WatchWarning
from ec2lab.printable import without_colors
from ec2lab.registry.record import parse_time
from ec2lab.resource import Resource
from ec2lab.runs.progress import ProgressPoller
from ec2lab.watch.notifier import NotificationDispatcher, Notifier
from ec2lab.watch.watcher import Watching


class WatchConsole:
    def __init__(self, console: Console, name: str, notifiers: Iterable[Notifier]) -> None:
        self.console = console
        self.name = name
        self.notices = NotificationDispatcher(notifiers, self.warn)
        self._shown: Any = None

    def emit(self, event: Event) -> None:
        self.console.emit(event)
        if event.notify:
            self.notices.tell(event)

    def emit_of_launch(self, event: Event) -> None:
        """Report an event of a relaunch, except that instances run, which the watch sees itself."""
        if not isinstance(event, InstanceRunning):
            self.emit(event)

    def warn(self, message: str) -> None:
        self.console.emit(WatchWarning(experiment=self.name, message=message))

    def stands(self, watching: Watching) -> None:
        """Show the state: on a terminal in a line of its own, in JSON where it changed."""
        self.notices.check()
        every = list(watching.instances.values())
        last = [inquiry.last.line for inquiry in watching.inquiries.values() if inquiry.last.line]
        loading = [share for m in every if (share := watching.loaded.get(m.id)) not in (None, "", "100%")]
        line = without_colors(last[-1]) if last else ""
        left = time_left(every, watching.inquiries, watching.ttl, clock.now())
        if (loading, line) != self._shown and (loading or line):
            self._shown = (loading, line)
            seconds = None if left is None else round(left.total_seconds())
            self.console.emit(RunProgress(experiment=self.name, loaded=loading, line=line, seconds_left=seconds))
        parts = [f"{self.name}: {counted(every)}"]
        parts += [f"data loaded {least(loading)}"] if loading else []
        parts += [f"{str(left).partition('.')[0]} left"] if left is not None else []
        parts += [line] if line else []
        self.console.progress("  ".join(parts)[: shutil.get_terminal_size().columns - 1])


def counted(instances: list[Resource]) -> str:
    """Return `i-… running`, or the numbers by state: `7 running, 1 pending`."""
    if not instances:
        return "no instance yet"
    if len(instances) == 1:
        return f"{instances[0].id} {instances[0].shown_state}"
    states = Counter(instance.state for instance in instances)
    return ", ".join(f"{number} {state}" for state, number in states.most_common())


def least(shares: list[str]) -> str:
    """Return the smallest percentage: 7% of 43% and 7%."""
    return min(shares, key=lambda share: int(share.rstrip("%")))


def time_left(
    instances: list[Resource], inquiries: dict[str, ProgressPoller], ttl: timedelta | None, now: datetime
) -> timedelta | None:
    """Return the time until the first instance expires: by its timer, its tags, or its ttl."""
    ends = []
    for instance in instances:
        heard = inquiries[instance.id].last.ends_at if instance.id in inquiries else None
        if heard is not None:
            ends.append(datetime.fromtimestamp(heard, UTC))
        elif text := instance.details.get("ends"):
            ends += [parse_time(text)] if text != NEVER else []
        elif ttl and instance.since:
            ends.append(datetime.fromisoformat(instance.since) + ttl)
    return max(timedelta(0), min(ends) - now) if ends else None
