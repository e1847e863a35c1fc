"""One experiment, one actor at a time on this machine."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.core.errors import LabError
from scripts.core.record import actor, now


@contextmanager
def acting_alone(registry: Path, experiment: str, script: str) -> Iterator[None]:
    """Hold an experiment for one script, or raise LabError that names who holds it, where and since when.

    The lock is the operating system's: whoever dies lets go of it.
    """
    directory = registry.with_name(f"{registry.name}.locks")
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        file = (directory / experiment).open("a+")
    except OSError as problem:
        raise LabError(
            f"{directory}: can't be written: {problem.strerror}; the registry's directory must be"
        ) from problem
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise LabError(
                f"{experiment} is being worked on by {holder}; wait for it to end, then try again"
            ) from problem
        file.truncate(0)
        file.write(f"{script} ({actor()}, since {now()})")
        file.flush()
        yield
        file.truncate(0)
