"""Resolves calls whose response was lost: asks AWS until the outcome is certain, and records it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ec2lab.aws.tags import RECORD, from_aws
from ec2lab.polling import attempts
from ec2lab.registry.evidence import makes, stand_alone, token_of, unresolved
from ec2lab.registry.record import Event, Record
from ec2lab.registry.state import DELETED, DISCOVERED, RESOLVED, as_annotation, holdings
from ec2lab.resource import Resource
from ec2lab.resources.live_in_aws import (
    POLL,
    find_live_resources,
    is_new,
    left_alone,
    proven,
    shown_by_id,
    within_consistency_window,
)
from ec2lab.session import Session

AskAgain = Callable[[Record], None]
"""Sends the request of an open intent again under its own ClientToken, where that is harmless."""


def reconcile(session: Session, experiment: str, ask_again: AskAgain | None = None) -> list[Resource]:
    """Return the live resources of an experiment after resolving every open intent; record the outcomes.

    A resource in a recent response is live even if AWS does not show it yet. An intent that `ask_again` does not
    resolve is resolved by what AWS shows, or by time.
    """
    known = session.records.state(experiment)
    if not known.live and not known.unresolved:
        return []
    if ask_again and (
        young := [intent for intent in known.unresolved if within_consistency_window(session, intent.time)]
    ):
        for intent in young:
            ask_again(intent)
        known = session.records.state(experiment)
    seen: dict[str, Resource] = {}
    for _ in attempts(session.pause, POLL):
        found = find_live_resources(session, experiment, known)
        seen |= {resource.id: resource for resource in found}
        seen |= {resource.id: resource for resource in without_experiment(session, known.unresolved)}
        still_open = unresolved(known.unresolved, seen.values(), session.resource_types)
        if not any(within_consistency_window(session, intent.time) for intent in still_open):
            break
    # A description may have recorded an end.
    live_on_record = [r for r in session.records.state(experiment).live if r.id not in {shown.id for shown in found}]
    young_yet = [resource for resource in live_on_record if is_new(session, resource)]
    missing = [resource for resource in live_on_record if not is_new(session, resource)]
    if other := shown_by_id(session, missing):
        raise left_alone(experiment, other, session.registry.id())
    _note(session, experiment, [resource.id for resource in missing], known.unresolved, seen.values())
    return [*found, *young_yet]


def without_experiment(session: Session, intents: Iterable[Record]) -> list[Resource]:
    wanted = list(intents)
    asked = [
        (resource_type, place, session.threads.submit(resource_type.whole, session.cloud, place, _made_by(intent)))
        for intent in wanted
        for resource_type in session.resource_types.values()
        if resource_type.name in makes(intent, session.resource_types)
        and not resource_type.is_for_experiment(intent.request or {})
        for place in resource_type.places([str(intent.region)])
    ]
    return proven(session, asked, holdings(wanted, session.resource_types))


def _made_by(intent: Record) -> list[Any]:
    return [{"Name": f"tag:{RECORD}", "Values": [token_of(intent)]}]


def note_shown(session: Session, kind_name: str, item: Mapping[str, Any], region: str) -> None:
    """Record that a resource in AWS is what an open intent created, if it is."""
    known, resource_type = session.records.state(), session.resource_types[kind_name]
    if not session.records.ownership(known).proves(resource_type, item):
        return
    resource = resource_type.resource(item, region, from_aws(item.get("Tags")))
    mine = [intent for intent in known.unresolved if token_of(intent) == resource.record]
    if resolved := [intent.id for intent in mine if kind_name in makes(intent, session.resource_types)]:
        session.recorder.annotate(**{DISCOVERED: [as_annotation(resource)], RESOLVED: resolved})


def _note(session: Session, experiment: str, gone: list[str], intents: list[Record], seen: Iterable[Resource]) -> None:
    """Record what is gone, which intents are resolved and what they created.

    What came with an instance goes with it.
    """
    records = [r for r in session.records.current(experiment) if r.event in (Event.INTENT, Event.RESPONSE)]
    on_record = {resource.id for resource in session.records.state().live}
    new = [r for r in stand_alone(seen, records, session.resource_types) if r.id not in on_record]
    resolved = [intent.id for intent in intents]
    if gone or resolved or new:
        session.recorder.annotate(
            **{DELETED: gone, RESOLVED: resolved, DISCOVERED: [as_annotation(resource) for resource in new]}
        )
