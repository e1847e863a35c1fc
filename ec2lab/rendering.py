"""How an event reads on a terminal, and in one line elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ec2lab.events import Event


def render(event: Event) -> tuple[list[str], str | None]:
    """Return an event's lines, and the color of the first."""
    lines = event.lines()
    return [line for line in ([lines] if isinstance(lines, str) else lines) if line], event.color()


def text_of(event: Event) -> str:
    """Return an event in one line, for a notifier."""
    return " ".join(line.strip() for line in render(event)[0][:1])
