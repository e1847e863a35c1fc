"""Locks for experiments on one computer."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from ec2lab import clock
from ec2lab.errors import UserError
from ec2lab.files import open_file, private_directory, private_opener
from ec2lab.polling import attempts
from ec2lab.registry.base import LockHeld, LockOwner
from ec2lab.registry.file_io import explained
from ec2lab.registry.record import actor, now

ATTEMPTS, RETRY_DELAY = 20, 0.05
"""Attempts, and seconds between them, to read the owner of a lock that has not written its name yet."""


@contextmanager
def lock_experiment(registry: Path, experiment: str, script: str) -> Iterator[None]:
    """Hold an experiment's lock. Raises LockHeld that names who holds it, where and since when.

    It is a lock of the operating system: a process that dies releases it, and its text is overwritten. A file system
    without locks is refused, because two processes could act at once.
    """
    directory = _directory(registry)
    with explained(directory):
        private_directory(directory)
        file = open(directory / experiment, "a+b", buffering=0, opener=private_opener)  # noqa: SIM115
    with file:
        _acquire(directory, file.fileno(), experiment)
        try:
            with explained(directory):
                file.truncate(0)
                file.write(f"{script} ({actor()}, since {now()})".encode())
            yield
        finally:  # also after an error or an interrupt: only a killed process leaves its name
            with explained(directory):
                file.truncate(0)


def lock_owners(registry: Path) -> list[LockOwner]:
    """Return the owners of a registry's locks, including processes that died."""
    found = []
    for path in sorted(_directory(registry).glob("*")):
        with explained(path), os.fdopen(open_file(path, os.O_RDONLY), "rb") as file:
            alive, who = _is_held(file.fileno()), file.read(1000).decode(errors="replace").strip()
            if who or alive:
                found.append(LockOwner(path.name, who or "another process", alive=alive))
    return found


def _is_held(descriptor: int) -> bool:
    """Try to lock, and release at once. A process that wants the lock at this moment tries again (ATTEMPTS)."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _directory(registry: Path) -> Path:
    """Return the directory of the locks: next to the file itself, so that labs with links to it share them.

    Raises UserError if it is a link, which git may create: lock files are truncated, and must not be other files.
    """
    file = registry.resolve()
    directory = file.with_name(f"{file.name}.locks")
    if directory.is_symlink():
        raise UserError(f"{directory}: is a link, and the lab writes its locks there: remove it")
    return directory


def _acquire(directory: Path, descriptor: int, experiment: str) -> None:
    for _ in islice(attempts(clock.nap, (RETRY_DELAY, RETRY_DELAY)), ATTEMPTS):
        with explained(directory):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 1000, 0).decode(errors="replace").strip()
            else:
                return
        if holder:
            break
    who = holder or "another process"
    raise LockHeld(f"{experiment} is locked by {who}; wait for it to finish, then try again")
