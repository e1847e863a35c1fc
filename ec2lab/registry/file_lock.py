"""One experiment, one actor at a time on this computer."""

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

LOOKS, LOOK = 20, 0.05
"""How often, and after how many seconds again, a lock is looked at whose holder has not yet written who he is."""


@contextmanager
def lock_experiment(registry: Path, experiment: str, script: str) -> Iterator[None]:
    """Hold an experiment for one script, or raise LockHeld, which names who holds it, where and since when.

    The lock is the operating system's: whoever dies lets go of it, and what he left written is overwritten. A file
    system without locks is refused by name, as two could act there at once.
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
        finally:  # also after an error or an interrupt: only who is killed leaves his name there
            with explained(directory):
                file.truncate(0)


def lock_owners(registry: Path) -> list[LockOwner]:
    """Return who holds experiments of a registry, and who died while holding one."""
    found = []
    for path in sorted(_directory(registry).glob("*")):
        with explained(path), os.fdopen(open_file(path, os.O_RDONLY), "rb") as file:
            if who := file.read(1000).decode(errors="replace").strip():
                found.append(LockOwner(path.name, who, alive=_is_held(file.fileno())))
    return found


def _is_held(descriptor: int) -> bool:
    """Try the lock, and let go of it at once: who wants it in that moment looks again (LOOKS)."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def lock_owner(registry: Path, experiment: str) -> str:
    """Return what the holder of an experiment wrote of himself; nothing where nobody holds it."""
    path = _directory(registry) / experiment
    try:
        file = path.open("r+b", buffering=0)
    except FileNotFoundError:
        return ""
    with file, explained(path):
        try:
            # Shared, and for a moment: others may look too, and one who comes to hold it looks again.
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.pread(file.fileno(), 1000, 0).decode(errors="replace").strip() or "another process"
        file.truncate(0)  # of one who died; whoever meets our look is not to take it for him
    return ""


def _directory(registry: Path) -> Path:
    """Return where the locks lie: beside the file itself, so that all who reach it over links meet the same ones.

    Raises UserError where that is a link, as git may bring one: locks are emptied, and files elsewhere are no locks.
    """
    file = registry.resolve()
    directory = file.with_name(f"{file.name}.locks")
    if directory.is_symlink():
        raise UserError(f"{directory}: is a link, and the lab writes its locks there: remove it")
    return directory


def _acquire(directory: Path, descriptor: int, experiment: str) -> None:
    for _ in islice(attempts(clock.nap, (LOOK, LOOK)), LOOKS):
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
    raise LockHeld(f"{experiment} is being worked on by {who}; wait for it to end, then try again")
