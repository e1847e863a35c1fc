"""The interface of a registry, and what each implementation guarantees."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ec2lab.errors import UserError
from ec2lab.findings import Finding
from ec2lab.registry.record import FORMAT, Event, Record, actor, new_id

GROWTH = 1024 * 1024  # bytes that a registry may grow beyond twice its live records before it is compacted

IDENTITY = "registry"  # the annotation with the registry's id
IDENTITY_FORM = r"[0-9a-f]{32}"

Needed = Callable[[Sequence[Record]], set[str]]
"""Returns the ids of the records from which live resources and unresolved intents are computed."""


@dataclass(frozen=True, slots=True)
class LockOwner:
    """The process that holds an experiment's lock, or held it when it died."""

    experiment: str
    who: str  # script, user@host:process, and start time
    alive: bool

    @property
    def script(self) -> str:
        return self.who.partition(" ")[0]


@dataclass(frozen=True, slots=True)
class SetAside:
    """An entry that is not a valid record. It is ignored and left in place."""

    where: str  # the line of a file, or the item of a table
    problem: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}"


class LockHeld(UserError):
    """Another process holds the experiment's lock."""


class NotARegistry(UserError):
    """The address contains something else, which must not be changed."""


class Registry(ABC):
    """An append-only list of records, shared safely between threads and processes.

    `records` returns the current records, from which live resources are computed. Others may be in an archive, which
    only `history` reads.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Its name for people: a path, or an address."""

    @property
    def place(self) -> str:
        """Its identity: two registries with the same place are the same, whatever their names."""
        return self.name

    @cached_property
    def set_aside(self) -> dict[str, SetAside]:
        """Invalid entries found so far, by their location. Whoever reads the registry reports them."""
        return {}

    @cached_property
    def checks(self) -> list[Callable[[Record], None]]:
        """Additional checks of a record. Each raises ValueError for an unusable one."""
        return []

    def record_in(self, loaded: Any, where: str) -> Record | None:
        """Return a loaded value as a record; None if it is not valid, which is then set aside.

        Raises UserError for a record of a newer version: ignoring it would lose information.
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
        self.set_aside[where] = SetAside(where, problem)

    @abstractmethod
    def append(self, record: Record) -> None:
        """Write a record. When this returns, it survives a crash of the process. Raises UserError."""

    def append_all(self, records: Sequence[Record]) -> None:
        """Write records in order. Raises UserError; those written before the error stay."""
        for record in records:
            self.append(record)

    @abstractmethod
    def records(self, experiment: str | None = None) -> Iterator[Record]:
        """Return current records, oldest first; with `experiment`, at least its own. Raises UserError."""

    def history(self, experiment: str | None = None) -> list[Record]:
        """Return all records, archived ones too, each once, oldest first; with `experiment`, at least its own.

        Raises UserError. This, as the three below, is for a registry without an archive.
        """
        return list(self.records(experiment))

    def histories(self, experiments: Collection[str]) -> list[Record]:
        """Return all records of some experiments, each once, each experiment's oldest first. Raises UserError."""
        return [record for record in self.history() if record.experiment in experiments]

    def archive(self, needed: Needed) -> int:
        """Archive all records except the needed ones; return their number. Raises UserError.

        If it is interrupted, no record is lost.
        """
        return 0

    def needs_compaction(self) -> bool:
        """Return whether compaction is worthwhile, at little cost."""
        return False

    @abstractmethod
    def lock_experiment(self, experiment: str, script: str) -> AbstractContextManager[None]:
        """Hold an experiment's lock. Raises LockHeld that names who holds it, where and since when."""

    def ids(self) -> Sequence[str]:
        """Return the ids that this registry answers for, its own first; an empty list before it has tagged anything.

        It answers for other registries' ids if their records were copied into it.
        """
        return list(dict.fromkeys(identity for record in self.records() if (identity := identity_in(record))))

    def id(self) -> str:
        """Return its own id, with which it tags resources; the first call creates one. Raises UserError."""
        if not self.ids():
            self.answer_for([new_id()])
        return self.ids()[0]  # if several created one at once, all use the first

    def answer_for(self, ids: Iterable[str]) -> None:
        """Answer for these ids from now on: resources with them belong to this registry. Raises UserError."""
        known = self.ids()
        for identity in ids:
            if identity not in known:
                self.append(Record(event=Event.ANNOTATION, actor=actor(), annotation={IDENTITY: identity}))

    def is_there(self) -> bool:
        """Return whether it exists; reading one that does not may create it. Raises UserError."""
        return True

    def health_findings(self) -> Iterable[Finding]:
        """Return problems that reading it does not show, without writing anything. Raises UserError."""
        return ()

    def lock_owners(self) -> Sequence[LockOwner]:
        """Return the owners of all locks, including processes that died. Raises UserError."""
        return ()

    def lock_owner(self, experiment: str) -> str:
        """Return who holds an experiment's lock, in words; an empty string if nobody does, or it is unknown."""
        return next((one.who for one in self.lock_owners() if one.experiment == experiment and one.alive), "")

    def close(self) -> None:  # noqa: B027 - a file holds nothing
        """Release what it holds."""


def identity_in(record: Record) -> str | None:
    """Return the registry's id that a record contains; None if it contains none."""
    identity = (record.annotation or {}).get(IDENTITY)
    return identity if isinstance(identity, str) and re.fullmatch(IDENTITY_FORM, identity) else None


def check_format(written: int, where: str) -> None:
    """Raise UserError if a record has the format of a newer version."""
    if written > FORMAT:
        raise UserError(f"{where} has format {written}, this ec2-lab reads up to {FORMAT}; upgrade ec2-lab")


class NullRegistry(Registry):
    """Discards every record, so only calls that change nothing are allowed, such as dry runs."""

    def __init__(self, stands_for: Callable[[], Registry]) -> None:
        """`stands_for` opens the registry that it replaces."""
        self.stands_for = stands_for

    @property
    def name(self) -> str:
        return "nowhere"

    def append(self, record: Record) -> None:
        """Discard a record. Refuses an intent that is not a dry run."""
        if record.event is Event.INTENT and not (record.request or {}).get("DryRun"):
            raise UserError(f"{record.operation} would change something, and nothing is recorded here")

    def ids(self) -> Sequence[str]:
        return ()

    def id(self) -> str:
        """Return the id of the registry that it replaces, or a new one, for the tags of dry runs."""
        with suppress(UserError):
            registry = self.stands_for()
            if registry.is_there() and (ids := registry.ids()):
                return ids[0]
        return new_id()

    def records(self, experiment: str | None = None) -> Iterator[Record]:
        return iter(())

    def lock_experiment(self, experiment: str, script: str) -> AbstractContextManager[None]:
        """Refuse: nothing is locked here."""
        raise UserError(f"{experiment}: {script} only looks")
