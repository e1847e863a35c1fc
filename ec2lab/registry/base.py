"""What a registry promises, wherever it keeps its records."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ec2lab.errors import UserError
from ec2lab.registry.record import FORMAT, Event, Record, actor, new_id

if TYPE_CHECKING:
    from ec2lab.findings import Finding

GROWTH = 1024 * 1024
"""Bytes by which a registry grows, beyond twice what was kept, before what is over is put away."""

IDENTITY = "registry"
"""The note that says by which id the resources of this registry are known."""
IDENTITY_FORM = r"[0-9a-f]{32}"

Needed = Callable[[Sequence[Record]], set[str]]
"""Returns the ids of those records that what lives, or is unsettled, is computed from."""


@dataclass(frozen=True, slots=True)
class LockOwner:
    """Who acts on an experiment, or did."""

    experiment: str
    who: str
    """Script, user@host:process, since when."""
    alive: bool

    @property
    def script(self) -> str:
        """The command that took the lock, by which locks begin."""
        return self.who.partition(" ")[0]


@dataclass(frozen=True, slots=True)
class SetAside:
    """Something among the records that is none: nothing is computed from it, and it is left as it is."""

    where: str
    """The line of a file, or the item of a table."""
    problem: str
    """What is wrong with it."""

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}"


class LockHeld(UserError):
    """Somebody else acts on an experiment now."""


class NotARegistry(UserError):
    """What is at a registry's address is something else, and is to be left alone."""


class Registry(ABC):
    """An append-only list of records; safe to share between threads and processes.

    The records that what lives is computed from are at hand; what is over may lie in an archive, which only `history`
    reads.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """What a person calls it: a path, or an address."""

    @property
    def place(self) -> str:
        """What no other registry has: two of one place are one and the same, whatever they are called."""
        return self.name

    @cached_property
    def set_aside(self) -> dict[str, SetAside]:
        """What was met until now that is no record, by its place; whoever reads the registry names it."""
        return {}

    @cached_property
    def checks(self) -> list[Callable[[Record], None]]:
        """What else a record is held to: each raises ValueError for one that cannot be used."""
        return []

    def record_in(self, loaded: Any, where: str) -> Record | None:
        """Return what was read as a record; None where it is none, which is set aside.

        Raises UserError for one of a later version: it is sound, and to leave it out would forget what it says.
        """
        written = loaded.get("format", FORMAT) if isinstance(loaded, dict) else FORMAT
        check_format(written if isinstance(written, int) else FORMAT, where)
        try:
            record = Record.from_json(loaded)
            for check in self.checks:
                check(record)
        except ValueError as problem:
            self.leave(where, str(problem))
            return None
        return record

    def leave(self, where: str, problem: str) -> None:
        """Set aside what is no record."""
        self.set_aside[where] = SetAside(where, problem)

    @abstractmethod
    def append(self, record: Record) -> None:
        """Write a record; when this returns, it survives whatever becomes of this process. Raises UserError."""

    def append_all(self, records: Sequence[Record]) -> None:
        """Write records in their order. Raises UserError; what was written until then is written."""
        for record in records:
            self.append(record)

    @abstractmethod
    def records(self, experiment: str | None = None) -> Iterator[Record]:
        """Return the records at hand, oldest first; of an experiment at least its own. Raises UserError."""

    @abstractmethod
    def history(self, experiment: str | None = None) -> list[Record]:
        """Return every record, the archive's too, each once, oldest first; of an experiment at least its own.

        Raises UserError.
        """

    @abstractmethod
    def histories(self, experiments: Collection[str]) -> list[Record]:
        """Return every record of some experiments, each once, each experiment's own oldest first. Raises UserError."""

    @abstractmethod
    def archive(self, needed: Needed) -> int:
        """Put all records but those needed into the archive, and return how many those were. Raises UserError.

        Cut off at any moment, no record is lost.
        """

    @abstractmethod
    def needs_compaction(self) -> bool:
        """Say, at little cost, whether there is so much at hand that it is worth putting some into the archive."""

    @abstractmethod
    def lock_experiment(self, experiment: str, script: str) -> AbstractContextManager[None]:
        """Hold an experiment for one script. Raises LockHeld, which names who holds it, where and since when."""

    def ids(self) -> Sequence[str]:
        """Return the ids that this registry answers for, its own first; none where it has tagged nothing yet.

        It has others' besides where their records were copied into it.
        """
        return list(dict.fromkeys(identity for record in self.records() if (identity := identity_in(record))))

    def id(self) -> str:
        """Return its own id, by which what it makes is tagged; the first time, one is made. Raises UserError."""
        if not self.ids():
            self.answer_for([new_id()])
        return self.ids()[0]  # of several who made one at once, all have the first

    def answer_for(self, ids: Iterable[str]) -> None:
        """Take what carries these ids for this registry's own from now on. Raises UserError."""
        known = self.ids()
        for identity in ids:
            if identity not in known:
                self.append(Record(event=Event.ANNOTATION, actor=actor(), annotation={IDENTITY: identity}))

    def is_there(self) -> bool:
        """Say whether it has been made; to read one that is not may make it. Raises UserError."""
        return True

    def health_findings(self) -> Iterable[Finding]:
        """Return what is the matter with it besides what reading it shows, writing nothing. Raises UserError."""
        return ()

    def lock_owners(self) -> Sequence[LockOwner]:
        """Return who holds experiments, or died while holding one. Raises UserError."""
        return ()

    def lock_owner(self, experiment: str) -> str:
        """Return who holds an experiment now, in words; nothing where nobody does, or where that is not told."""
        del experiment
        return ""

    def close(self) -> None:  # noqa: B027 - a file holds nothing
        """Let go of what it holds."""


def identity_in(record: Record) -> str | None:
    """Return the registry's id that a record tells; None where it tells none."""
    told = (record.annotation or {}).get(IDENTITY)
    return told if isinstance(told, str) and re.fullmatch(IDENTITY_FORM, told) else None


def check_format(written: int, where: str) -> None:
    """Raise UserError where a record has the layout of a later version."""
    if written > FORMAT:
        raise UserError(f"{where} has format {written}, this ec2-lab reads up to {FORMAT}; upgrade ec2-lab")


class NullRegistry(Registry):
    """Forgets every record, so no call that changes something may be made with it (a dry run changes nothing)."""

    def __init__(self, stands_for: Callable[[], Registry] | None = None) -> None:
        """`stands_for` opens the registry that is only looked at."""
        super().__init__()
        self.stands_for = stands_for

    @property
    def name(self) -> str:
        """What it is called."""
        return "nowhere"

    def append(self, record: Record) -> None:
        """Forget a record; an intent of what is no dry run is refused."""
        if record.event is Event.INTENT and not (record.request or {}).get("DryRun"):
            raise UserError(f"{record.operation} would change something, and nothing is written down here")

    def ids(self) -> Sequence[str]:
        """Return nothing."""
        return ()

    def id(self) -> str:
        """Return that of the registry that is looked at, for the tags of dry runs; where it has none, a new one."""
        with suppress(UserError):
            registry = self.stands_for() if self.stands_for else None
            if registry and registry.is_there() and (ids := registry.ids()):
                return ids[0]
        return new_id()

    def records(self, experiment: str | None = None) -> Iterator[Record]:
        """Return nothing."""
        del experiment
        return iter(())

    def history(self, experiment: str | None = None) -> list[Record]:
        """Return nothing."""
        del experiment
        return []

    def histories(self, experiments: Collection[str]) -> list[Record]:
        """Return nothing."""
        del experiments
        return []

    def archive(self, needed: Needed) -> int:
        """Put nothing away."""
        del needed
        return 0

    def needs_compaction(self) -> bool:
        """Say no."""
        return False

    def lock_experiment(self, experiment: str, script: str) -> AbstractContextManager[None]:
        """Refuse: nobody acts here."""
        raise UserError(f"{experiment}: {script} only looks")
