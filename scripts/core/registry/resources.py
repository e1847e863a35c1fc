"""From the registry's records to what lives: computed each time, never stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from scripts.core.kind import Kind, Resource
from scripts.core.registry.evidence import closed_by, token_of
from scripts.core.registry.record import Event, Record

GONE = "gone"
"""The note by which the lab says that AWS was asked, and these ids are no more."""
FOUND = "found"
"""The note by which the lab says that AWS was asked, and these resources are what intents without an answer made."""
SETTLED = "settled"
"""The note by which the lab says that what these intents may have made has been looked for."""


@dataclass
class Holdings:
    """What the registry says of one experiment, or of all."""

    living: list[Resource] = field(default_factory=list)
    unsettled: list[Record] = field(default_factory=list)
    """Intents to create whose outcome nobody knows: the process died, or the answer was lost."""
    regions: set[str] = field(default_factory=set)
    """Where anything was ever asked to be created."""
    tokens: set[str] = field(default_factory=set)
    """The lab:record tags of all that was ever asked to be created: what carries another is another registry's."""
    kinds: set[str] = field(default_factory=set)
    """The names of the kinds that were ever asked for: of others nothing can live."""
    unknown: list[Resource] = field(default_factory=list)
    """What was found of a resource type that no plugin here knows: it is shown, and left alone."""

    @property
    def names(self) -> set[str]:
        """The experiments that live, or of which that is not known."""
        there = [*self.living, *self.unknown]
        found = {resource.experiment for resource in there} | {intent.experiment for intent in self.unsettled}
        return {name for name in found if name}

    @property
    def seen(self) -> bool:
        """Whether anything was ever asked to be created."""
        return bool(self.tokens)


def holdings(records: Iterable[Record], kinds: Mapping[str, Kind], experiment: str | None = None) -> Holdings:
    """Fold records into what lives, for one experiment or for all."""
    born: dict[tuple[str, str], Resource] = {}
    open_intents: dict[str, Record] = {}
    creating = {operation for kind in kinds.values() for operation in kind.created_by}
    found, found_types = Holdings(), set[str]()
    for record in records:
        if record.operation in creating and experiment in (None, record.experiment):
            _note_request(record, open_intents, found, kinds)
        _close_intents(record, open_intents)
        for kind in kinds.values():
            for resource in kind.born_in(record):
                born[kind.name, resource.id] = resource
            for identity in kind.ended_by(record):
                born.pop((kind.name, identity), None)
        for told in (record.note or {}).get(FOUND, ()):
            resource = born[told["kind"], told["id"]] = Resource(
                **{"experiment": record.experiment, "recorded": record.time, **told}
            )
            found_types.add(resource.kind)
            if experiment in (None, record.experiment) and resource.record:
                found.tokens.add(resource.record)
                found.regions.add(resource.region)
                found.kinds.add(resource.kind)
        for identity in (record.note or {}).get(GONE, ()):
            for name in {*kinds, *found_types}:
                born.pop((name, identity), None)
    owned = [r for r in born.values() if experiment is None or r.experiment == experiment]
    found.living = [resource for resource in owned if resource.kind in kinds]
    found.unknown = [resource for resource in owned if resource.kind not in kinds]
    found.unsettled = [intent for intent in open_intents.values() if intent.experiment]
    return found


def as_note(resource: Resource) -> dict[str, str | None]:
    """Return a resource as a note holds it: what it takes to look it up and to delete it."""
    names = ("kind", "id", "region", "since", "record", "experiment")
    return {name: getattr(resource, name) for name in names}


def _note_request(record: Record, open_intents: dict[str, Record], found: Holdings, kinds: Mapping[str, Kind]) -> None:
    """Note what was asked for; an answer tells it too, whose intent was lost with an earlier file."""
    if record.event not in (Event.INTENT, Event.ANSWER) or (record.request or {}).get("DryRun"):
        return
    if record.event is Event.INTENT:
        open_intents[record.id] = record
    found.tokens.add(token_of(record))
    found.regions.add(record.region or "")
    operation, request = str(record.operation), record.request or {}
    found.kinds |= {
        kind.name for kind in kinds.values() if kind.tag_type in tuple(kind.tagged_at_creation(operation, request))
    }


def _close_intents(record: Record, open_intents: dict[str, Record]) -> None:
    settled = set((record.note or {}).get(SETTLED, ()))
    for identity in settled | closed_by(record, open_intents):
        open_intents.pop(identity, None)
