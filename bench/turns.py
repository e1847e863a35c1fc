"""Contenders in turns: an instance whose speed drifts is fair to all of them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")


def in_turns(
    contenders: Mapping[str, Callable[[], Found]], runs: int, *, warm_up: bool = True
) -> dict[str, list[Found]]:
    """Run each contender once a round, each round begun by another of them; a round to warm up is not counted."""
    names = list(contenders)
    found: dict[str, list[Found]] = {name: [] for name in names}
    for number in range(0 if warm_up else 1, runs + 1):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            one = contenders[name]()
            if number:
                found[name].append(one)
    return found


def seconds_of(command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> float:
    """Run a command, which must do what it is for; return its seconds as a whole process.

    Python may keep what it compiles, as on everybody's instance.
    """
    environment = {name: value for name, value in environment.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    subprocess.run(
        command, cwd=directory, env=environment, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - began
