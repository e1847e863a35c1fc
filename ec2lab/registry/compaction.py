"""Which records what lives is computed from; all others are history. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from ec2lab.registry.base import identity_in
from ec2lab.registry.evidence import closed_by
from ec2lab.registry.history import History
from ec2lab.registry.record import Event, Record, by_account
from ec2lab.registry.state import DELETED, DISCOVERED, RESOLVED, holdings
from ec2lab.registry.storage_timeline import is_retention
from ec2lab.resource import ResourceType

BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
"""No instance has ended by its ttl by then: whether a kept volume is there does not follow from that."""


def needed_records(records: Sequence[Record], kinds: Mapping[str, ResourceType]) -> set[str]:
    """Return the ids of the records that are needed: of each account those that tell what lives there, or may."""
    of_accounts = [_needed(of_one, kinds) for of_one in by_account(records).values()]
    return {record.id for record in records if identity_in(record)}.union(*of_accounts)


def _needed(records: Sequence[Record], kinds: Mapping[str, ResourceType]) -> set[str]:
    """Return the ids of the records of one account that are needed.

    All of an experiment that is not over; of the rest, those that tell of something that lives (a dataset's
    snapshot, the lab's security group), or of a call that nobody knows the outcome of.
    """
    known = holdings(records, kinds)
    there = [*known.live, *known.unknown]
    unfinished = {r.experiment for r in there} | {intent.experiment for intent in known.unresolved}
    unfinished |= _not_looked_for(records, kinds) | _with_retained_volumes(records)
    live = {resource.id for resource in there}
    open_intents = _without_outcome(records, kinds)
    needed = {
        record.id
        for record in records
        if (record.experiment and record.experiment in unfinished)
        or record.id in open_intents
        or live & set(_told_of(record, kinds.values()))
    }
    return _with_all_that(needed, _ended_by(records, kinds))


def _with_retained_volumes(records: Sequence[Record]) -> set[str | None]:
    """Return the experiments of which volumes were kept that are there yet: they cost."""
    volumes = History(records).volumes(BEFORE_ALL)
    return {volume.experiment for volume in volumes if volume.kept and volume.ended is None}


def _with_all_that(needed: set[str], brought: Mapping[str, set[str]]) -> set[str]:
    """Return the ids, and all that they bring along, and what that brings along in its turn."""
    found, more = set(needed), list(needed)
    while more:
        further = brought.get(more.pop(), set()) - found  # what a record answers may be in a file that was lost
        found |= further
        more += further
    return found


def _ended_by(records: Sequence[Record], kinds: Mapping[str, ResourceType]) -> Mapping[str, set[str]]:
    """Return by each record's id those records, whoever's, without which it would tell of something that is over.

    A record made something: those that say its end, as `make audit` ends others'. An intent is open: what resolves
    it, for one response resolves all of one ClientToken. An experiment was asked for: the last look for what is left
    of it, or it would never be archived.
    """
    creating = {operation for kind in kinds.values() for operation in kind.created_by}
    resolved, looks, ends = _resolved(records, kinds), _last_looks(records), _ends(records, kinds.values())
    found: dict[str, set[str]] = {}
    for record in records:
        over = [ends.get(identity, set()) for identity in (record.id, *_told_of(record, kinds.values()))]
        look = looks.get(record.experiment) if record.operation in creating else None
        found[record.id] = {one for one in (record.parent_id, resolved.get(record.id), look) if one}.union(*over)
    return found


def _last_looks(records: Iterable[Record]) -> dict[str | None, str]:
    """Return by experiment the record that said last what is left of it."""
    return {
        record.experiment: record.id for record in records if record.experiment and DELETED in (record.annotation or {})
    }


def _ends(records: Iterable[Record], kinds: Collection[ResourceType]) -> Mapping[str, set[str]]:
    """Return by id of what was made, or of an intent, the records that say that it is over."""
    found: dict[str, set[str]] = defaultdict(set)
    for record in records:
        note = record.annotation or {}
        ended = (identity for kind in kinds for identity in kind.ended_by(record))
        for over in (*ended, *note.get(DELETED, ()), *note.get(RESOLVED, ())):
            found[over].add(record.id)
    return found


def _told_of(record: Record, kinds: Iterable[ResourceType]) -> list[str]:
    """Return the ids of what a record says was made or found."""
    born = [resource.id for kind in kinds for resource in kind.created_resources(record)]
    kept = (record.request or {}).get("Resources", ()) if is_retention(record) else ()
    return [*born, *kept, *(str(told["id"]) for told in (record.annotation or {}).get(DISCOVERED, ()))]


def _not_looked_for(records: Iterable[Record], kinds: Mapping[str, ResourceType]) -> set[str]:
    """Return the experiments for which AWS was asked for something, and was not asked since what is left of it.

    Volumes come with instances and are told of by no record: only a look proves that nothing is left.
    """
    creating = {operation for kind in kinds.values() for operation in kind.created_by}
    found: set[str] = set()
    for record in records:
        if not record.experiment:
            continue
        if record.operation in creating and record.event in (Event.INTENT, Event.RESPONSE):
            found.add(record.experiment)
        elif DELETED in (record.annotation or {}):
            found.discard(record.experiment)
    return found


def _without_outcome(records: Iterable[Record], kinds: Mapping[str, ResourceType]) -> set[str]:
    """Return the intents to create that no response or error resolves."""
    return {intent for intent, by in _resolved(records, kinds).items() if by is None}


def _resolved(records: Iterable[Record], kinds: Mapping[str, ResourceType]) -> dict[str, str | None]:
    """Return by the intents to create the response or error that resolves each; None where nothing does."""
    creating = {operation for kind in kinds.values() for operation in kind.created_by}
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
