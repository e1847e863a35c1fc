"""What the screen, or a program, is told of what could not be seen, and of what is awaited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import typer

from ec2lab.aws.region_queries import Unknown, not_seen
from ec2lab.console import Console
from ec2lab.resources.base import Resource

INCOMPLETE = 3
"""The exit code of a command that showed what it could see, and that was not all; what it shows is true."""


def tell_unseen(console: Console, unseen: Mapping[str, str]) -> None:
    """Say in a line for each region why it could not be seen; those that say the same share one."""
    for region, why in unseen.items() if console.as_json else ():
        console.say("", "unseen", region=region, why=why)
    for line in not_seen(unseen):
        console.hint(line)


def tell_unknown(console: Console, unknown: Iterable[Unknown]) -> None:
    """Say once why what a command does without could not be told."""
    for one in unknown:
        text = f"{one.region}: {one.what} unknown: {one.why}"
        console.say(text, "unknown", what=one.what, region=one.region, why=one.why)


def tell_awaited(console: Console, resource: Resource, why: str) -> None:
    """Say what is not gone yet, and what is in its way."""
    console.say(f"  waiting for {resource}: {why}", "awaits", style="yellow", kind=resource.kind, id=resource.id,
                region=resource.region, why=why)  # fmt: skip


def exit_if_unseen(unseen: Mapping[str, str]) -> None:
    """End with 3 where something could not be seen."""
    if unseen:
        raise typer.Exit(INCOMPLETE)
