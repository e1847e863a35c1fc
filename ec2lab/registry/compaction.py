"""Which records live resources are computed from. All others can be archived. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from ec2lab.registry.base import identity_in
from ec2lab.registry.evidence import closed_by, creating_operations
from ec2lab.registry.history import History
from ec2lab.registry.record import Event, Record, by_account
from ec2lab.registry.state import DELETED, DISCOVERED, RESOLVED, holdings
from ec2lab.registry.storage_timeline import is_retention
from ec2lab.resource import ResourceType

BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
"""No instance has reached its ttl at this time: that does not decide whether a retained volume exists."""


def needed_records(records: Sequence[Record], resource_types: Mapping[str, ResourceType]) -> set[str]:
    """Return the ids of the records to keep: those that show what is live, or may be, in each account."""
    of_accounts = [_needed(of_one, resource_types) for of_one in by_account(records).values()]
    return {record.id for record in records if identity_in(record)}.union(*of_accounts)


def _needed(records: Sequence[Record], resource_types: Mapping[str, ResourceType]) -> set[str]:
    """Return the ids of the records of one account to keep.

    Those are all records of experiments that may be live; of others, records of resources that are live (a dataset's
    snapshot, the lab's security group), and calls with an unknown result.
    """
    known = holdings(records, resource_types)
    there = [*known.live, *known.unknown]
    unfinished = {r.experiment for r in there} | {intent.experiment for intent in known.unresolved}
    unfinished |= _not_looked_for(records, resource_types) | _with_retained_volumes(records)
    live = {resource.id for resource in there}
    open_intents = {intent for intent, by in _resolved(records, resource_types).items() if by is None}
    needed = {
        record.id
        for record in records
        if (record.experiment and record.experiment in unfinished)
        or record.id in open_intents
        or live & set(_resources_named_in(record, resource_types.values()))
    }
    return _with_all_that(needed, _ended_by(records, resource_types))


def _with_retained_volumes(records: Sequence[Record]) -> set[str | None]:
    """Return the experiments with retained volumes that still exist, because they cost money."""
    volumes = History(records).volumes(BEFORE_ALL)
    return {volume.experiment for volume in volumes if volume.retained and volume.ended is None}


def _with_all_that(needed: set[str], brought: Mapping[str, set[str]]) -> set[str]:
    """Return the ids with everything that they require, transitively."""
    found, more = set(needed), list(needed)
    while more:
        further = brought.get(more.pop(), set()) - found  # the record that this one closes may be in a lost file
        found |= further
        more += further
    return found


def _ended_by(records: Sequence[Record], resource_types: Mapping[str, ResourceType]) -> Mapping[str, set[str]]:
    """Return, by record id, the records without which it would show something as live that is not.

    For a record that created something: those of its deletion, also by others' `make audit`. For an intent: what
    resolves it, because one response resolves all intents with its ClientToken. For an experiment: the last check for
    remaining resources, or it would never be archived.
    """
    creating = creating_operations(resource_types)
    resolved, sightings, ends = (
        _resolved(records, resource_types),
        _last_sightings(records),
        _ends(records, resource_types.values()),
    )
    found: dict[str, set[str]] = {}
    for record in records:
        over = [
            ends.get(identity, set()) for identity in (record.id, *_resources_named_in(record, resource_types.values()))
        ]
        sighting = sightings.get(record.experiment) if record.operation in creating else None
        found[record.id] = {one for one in (record.parent_id, resolved.get(record.id), sighting) if one}.union(*over)
    return found


def _last_sightings(records: Iterable[Record]) -> dict[str | None, str]:
    """Return, by experiment, the record of the last check for its remaining resources."""
    return {
        record.experiment: record.id for record in records if record.experiment and DELETED in (record.annotation or {})
    }


def _ends(records: Iterable[Record], resource_types: Collection[ResourceType]) -> Mapping[str, set[str]]:
    """Return, by id of a resource or an intent, the records that end it."""
    found: dict[str, set[str]] = defaultdict(set)
    for record in records:
        note = record.annotation or {}
        ended = (identity for resource_type in resource_types for identity in resource_type.ended_by(record))
        for over in (*ended, *note.get(DELETED, ()), *note.get(RESOLVED, ())):
            found[over].add(record.id)
    return found


def _resources_named_in(record: Record, resource_types: Iterable[ResourceType]) -> list[str]:
    """Return the ids of resources that a record shows as created or found."""
    born = [resource.id for resource_type in resource_types for resource in resource_type.created_resources(record)]
    retained = (record.request or {}).get("Resources", ()) if is_retention(record) else ()
    return [*born, *retained, *(str(found["id"]) for found in (record.annotation or {}).get(DISCOVERED, ()))]


def _not_looked_for(records: Iterable[Record], resource_types: Mapping[str, ResourceType]) -> set[str]:
    """Return the experiments whose remaining resources were not checked since their last request.

    Volumes are created with instances, and no record names them: only a check proves that nothing is left.
    """
    creating = creating_operations(resource_types)
    found: set[str] = set()
    for record in records:
        if not record.experiment:
            continue
        if record.operation in creating and record.event in (Event.INTENT, Event.RESPONSE):
            found.add(record.experiment)
        elif DELETED in (record.annotation or {}):
            found.discard(record.experiment)
    return found


def _resolved(records: Iterable[Record], resource_types: Mapping[str, ResourceType]) -> dict[str, str | None]:
    """Return, by intent to create, the response or error that resolves it; None if nothing does."""
    creating = creating_operations(resource_types)
    still_open: dict[str, Record] = {}
    found: dict[str, str | None] = {}
    for record in records:
        if record.event is Event.INTENT and record.operation in creating:
            still_open[record.id] = record
            found[record.id] = None
        elif record.event in (Event.RESPONSE, Event.ERROR):
            for closed in closed_by(record, still_open) & still_open.keys():
                found[closed] = record.id
                del still_open[closed]
    return found
