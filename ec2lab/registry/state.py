"""Computes live resources from the registry's records, each time they are needed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from ec2lab.registry.evidence import Call, closed_by, creating_operations, token_of
from ec2lab.registry.record import Event, Record
from ec2lab.resource import Resource, ResourceType

DELETED = "deleted"  # the annotation that AWS no longer has these ids
DISCOVERED = "discovered"  # the annotation that intents without a response created these resources
RESOLVED = "resolved"  # the annotation that these intents were checked for what they may have created


@dataclass
class ResourceState:
    """The state of one experiment, or of all, according to the registry."""

    live: list[Resource] = field(default_factory=list)
    unresolved: list[Record] = field(default_factory=list)
    """Intents to create with an unknown result: the process died, or the response was lost."""
    regions: set[str] = field(default_factory=set)  # regions in which anything was ever requested
    calls: dict[str, Call] = field(default_factory=dict)
    """By lab:request-id tag, each call that ever requested a resource."""
    resource_types: set[str] = field(default_factory=set)
    """The resource types that were ever requested. Nothing of other types can be live."""
    of_experiments: set[str] = field(default_factory=set)
    """Those of them that were requested or found for an experiment, not for the whole lab."""
    unknown: list[Resource] = field(default_factory=list)
    """Resources of types that no plugin here defines: they are shown, and left alone."""

    @property
    def tokens(self) -> Collection[str]:
        """The lab:request-id tags of everything that was ever requested."""
        return self.calls.keys()

    @property
    def names(self) -> set[str]:
        """The experiments that are live, or may be."""
        there = [*self.live, *self.unknown]
        found = {resource.experiment for resource in there} | {intent.experiment for intent in self.unresolved}
        return {name for name in found if name}

    def without(self, regions: Collection[str]) -> ResourceState:
        return replace(
            self,
            live=[resource for resource in self.live if resource.region not in regions],
            unresolved=[intent for intent in self.unresolved if intent.region not in regions],
            regions=self.regions.difference(regions),
        )

    def matching(self, pattern: str) -> ResourceState:
        """Return what is known of the experiments that match a pattern as the shell has it."""

        def of_them(experiment: str | None) -> bool:
            return fnmatchcase(experiment or "", pattern)

        return replace(
            self,
            live=[resource for resource in self.live if of_them(resource.experiment)],
            unresolved=[intent for intent in self.unresolved if of_them(intent.experiment)],
            unknown=[resource for resource in self.unknown if of_them(resource.experiment)],
        )

    @property
    def seen(self) -> bool:
        return bool(self.calls)


Born = dict[tuple[str, str], Resource]  # by resource type and id, what was created and has not been deleted


def holdings(
    records: Iterable[Record], resource_types: Mapping[str, ResourceType], experiment: str | None = None
) -> ResourceState:
    """Compute the state of one experiment, or of all, from the records."""
    born: Born = {}
    open_intents: dict[str, Record] = {}
    creating = creating_operations(resource_types)
    found, types = ResourceState(), set(resource_types)
    for record in records:
        meant = experiment in (None, record.experiment)
        if record.operation in creating and meant:
            _note_request(record, open_intents, found, resource_types)
        _close_intents(record, open_intents)
        _note_response(record, born, found, resource_types)
        if record.annotation:
            _note_discovered(record, record.annotation, born, found if meant else ResourceState(), types)
    owned = [r for r in born.values() if experiment is None or r.experiment == experiment]
    found.live = [resource for resource in owned if resource.resource_type in resource_types]
    found.unknown = [resource for resource in owned if resource.resource_type not in resource_types]
    found.unresolved = [intent for intent in open_intents.values() if intent.experiment]
    return found


def _note_response(
    record: Record, born: Born, found: ResourceState, resource_types: Mapping[str, ResourceType]
) -> None:
    for resource_type in resource_types.values():
        for resource in resource_type.created_resources(record):
            born[resource_type.name, resource.id] = resource
            if call := found.calls.get(token_of(record)):
                call.made.add((resource_type.name, resource.id))
        for identity in resource_type.ended_by(record):
            born.pop((resource_type.name, identity), None)


def _note_discovered(
    record: Record, note: Mapping[str, Any], born: Born, found: ResourceState, types: set[str]
) -> None:
    """Note what a check of AWS found, and what it no longer found; `types` are all types named."""
    for discovered in note.get(DISCOVERED, ()):
        resource = born[discovered["resource_type"], discovered["id"]] = Resource(
            **{"experiment": record.experiment, "recorded": record.time, **discovered}
        )
        types.add(resource.resource_type)
        if resource.record:
            call = found.calls.setdefault(resource.record, Call(resource.record))
            call.made.add((resource.resource_type, resource.id))
            found.regions.add(resource.region)
            found.resource_types.add(resource.resource_type)
            found.of_experiments |= {resource.resource_type} if resource.experiment else set()
    for identity in note.get(DELETED, ()):
        for name in types:
            born.pop((name, identity), None)


def as_annotation(resource: Resource) -> dict[str, str | None]:
    """Return a resource as an annotation stores it: what is needed to find and delete it."""
    names = ("resource_type", "id", "region", "since", "record", "experiment")
    return {name: getattr(resource, name) for name in names}


def _note_request(
    record: Record, open_intents: dict[str, Record], found: ResourceState, resource_types: Mapping[str, ResourceType]
) -> None:
    """Note what was requested. A response shows it too, if its intent was lost with an earlier file.

    A dry run requests nothing, unless the endpoint ignored that and carried it out.
    """
    if record.event not in (Event.INTENT, Event.RESPONSE):
        return
    if record.event is Event.INTENT and (record.request or {}).get("DryRun"):
        return
    if record.event is Event.INTENT:
        open_intents[record.id] = record
    call = found.calls.setdefault(token_of(record), Call(token_of(record)))
    call.operation, call.request = str(record.operation), record.request or {}
    call.times.append(record.time)
    call.answered = call.answered or record.event is Event.RESPONSE
    found.regions.add(record.region or "")
    operation, request = str(record.operation), record.request or {}
    asked = [
        resource_type
        for resource_type in resource_types.values()
        if resource_type.tag_type in tuple(resource_type.taggable_types(operation, request))
    ]
    found.resource_types |= {resource_type.name for resource_type in asked}
    found.of_experiments |= {resource_type.name for resource_type in asked if resource_type.is_for_experiment(request)}


def _close_intents(record: Record, open_intents: dict[str, Record]) -> None:
    resolved = set((record.annotation or {}).get(RESOLVED, ()))
    for identity in resolved | closed_by(record, open_intents):
        open_intents.pop(identity, None)
