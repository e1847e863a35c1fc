"""A registry that writes nothing: for who only looks, and must be able to look at a registry that is damaged."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, suppress

from scripts.core.errors import LabError
from scripts.core.registry.record import Event, Record, new_id
from scripts.core.registry.registry import Needed, Registry


class Unwritten(Registry):
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
            raise LabError(f"{record.operation} would change something, and nothing is written down here")

    def ids(self) -> Sequence[str]:
        """Return nothing."""
        return ()

    def id(self) -> str:
        """Return that of the registry that is looked at, for the tags of dry runs; where it has none, a new one."""
        with suppress(LabError):
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

    def is_overgrown(self) -> bool:
        """Say no."""
        return False

    def acting_alone(self, experiment: str, script: str) -> AbstractContextManager[None]:
        """Refuse: nobody acts here."""
        raise LabError(f"{experiment}: {script} only looks")
