"""What cloud-init runs at the first boot: every command runs, and one that fails is seen."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

Command = str | Sequence[object]


def answering_for_all(commands: Sequence[Command]) -> list[str]:
    """Return `runcmd` lines that run each command, name each that fails, and fail in the end if any did.

    cloud-init writes them into one shell script, whose exit code is that of its last command alone
    (https://docs.cloud-init.io/en/latest/reference/modules.html#runcmd).
    """
    return [*(_watched(command) for command in commands), "exit ${failed:-0}"] if commands else []


def _quoted(word: str) -> str:
    """Return a word in quotes, always: without, a shell would take `else` for its own."""
    return "'" + word.replace("'", "'\"'\"'") + "'"


def _watched(command: Command) -> str:
    run = f"{{ {command}\n}}" if isinstance(command, str) else " ".join(_quoted(str(word)) for word in command)
    named = command if isinstance(command, str) else shlex.join(str(word) for word in command)
    return f"{run} || {{ failed=1; echo {shlex.quote(f'ec2-lab: FAILED: {named}')}; }}"
