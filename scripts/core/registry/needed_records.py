"""Which records what lives is computed from; all others are history. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from scripts.core.kind import Kind
from scripts.core.registry.evidence import closed_by
from scripts.core.registry.record import Event, Record, by_account
from scripts.core.registry.registry import identity_in
from scripts.core.registry.resources import FOUND, GONE, SETTLED, holdings


def needed_records(records: Sequence[Record], kinds: Mapping[str, Kind]) -> set[str]:
    """Return the ids of the records that are needed: of each account those that tell what lives there, or may."""
    of_accounts = [_needed(of_one, kinds) for of_one in by_account(records).values()]
    return {record.id for record in records if identity_in(record)}.union(*of_accounts)


def _needed(records: Sequence[Record], kinds: Mapping[str, Kind]) -> set[str]:
    """Return the ids of the records of one account that are needed.

    All of an experiment that is not over; of the rest, those that tell of something that lives (a data set's
    snapshot, the lab's security group), or of a call that nobody knows the outcome of.
    """
    known = holdings(records, kinds)
    there = [*known.living, *known.unknown]
    unfinished = {r.experiment for r in there} | {intent.experiment for intent in known.unsettled}
    unfinished |= _not_looked_for(records, kinds)
    living = {resource.id for resource in there}
    open_intents = _without_outcome(records, kinds)
    needed = {
        record.id
        for record in records
        if (record.experiment and record.experiment in unfinished)
        or record.id in open_intents
        or living & set(_told_of(record, kinds.values()))
    }
    needed |= _ends_of_what_is_told(records, needed, kinds)
    return needed | {record.of for record in records if record.id in needed and record.of}


def _ends_of_what_is_told(records: Sequence[Record], needed: set[str], kinds: Mapping[str, Kind]) -> set[str]:
    """Return the records, whoever's, that say the end of what a needed record told of: `make audit` ends others'."""
    told = {identity for record in records if record.id in needed for identity in _told_of(record, kinds.values())}
    return {
        record.id
        for record in records
        if told & {identity for kind in kinds.values() for identity in kind.ended_by(record)}
        or told & set((record.note or {}).get(GONE, ()))
        or needed & set((record.note or {}).get(SETTLED, ()))
    }


def _told_of(record: Record, kinds: Iterable[Kind]) -> list[str]:
    """Return the ids of what a record says was made or found."""
    born = [resource.id for kind in kinds for resource in kind.born_in(record)]
    return born + [str(told["id"]) for told in (record.note or {}).get(FOUND, ())]


def _not_looked_for(records: Iterable[Record], kinds: Mapping[str, Kind]) -> set[str]:
    """Return the experiments for which AWS was asked for something, and was not asked since what is left of it.

    Volumes come with machines and are told of by no record: only a look proves that nothing is left.
    """
    creating = {operation for kind in kinds.values() for operation in kind.created_by}
    found: set[str] = set()
    for record in records:
        if not record.experiment:
            continue
        if record.operation in creating and record.event in (Event.INTENT, Event.ANSWER):
            found.add(record.experiment)
        elif GONE in (record.note or {}):
            found.discard(record.experiment)
    return found


def _without_outcome(records: Iterable[Record], kinds: Mapping[str, Kind]) -> set[str]:
    """Return the intents to create, of no experiment, that nothing closes."""
    creating = {operation for kind in kinds.values() for operation in kind.created_by}
    found: dict[str, Record] = {}
    for record in records:
        if record.event is Event.INTENT and record.operation in creating:
            found[record.id] = record
        elif record.of and record.event in (Event.ANSWER, Event.ERROR):
            for closed in {record.of} | closed_by(record, found):
                found.pop(closed, None)
    return set(found)
