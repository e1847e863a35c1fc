"""What lives now: the registry's word on what there is, AWS's word on how it is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from scripts.core.aws.tags import EXPERIMENT, tag_map
from scripts.core.kind import Resource
from scripts.core.living import is_new, shown_by_id
from scripts.core.registry.record import Record
from scripts.core.registry.resources import Holdings
from scripts.core.session import Session

UNKNOWN_TO_AWS = "not in AWS any more"
UNKNOWN_TYPE = "of a type that no plugin here knows"
UNLIKE_ITS_TAGS = "there, and by its tags no experiment's"
NOT_SHOWN_YET = "not shown by AWS yet"


def standing(session: Session, holdings: Holdings | None = None) -> list[Resource]:
    """Return what the registry says lives, each with what AWS says of it, by experiment; and what was perhaps made.

    One description for each kind and region, all at the same time; nothing is asked where nothing lives. The registry
    is read unless `holdings` are its word already.
    """
    known = holdings or session.holdings()
    owned = [resource for resource in known.living if resource.experiment]
    places = {(resource.kind, resource.region) for resource in owned}
    asked = [session.threads.submit(_described, session, kind, region) for kind, region in sorted(places)]
    described = {identity: resource for answer in asked for identity, resource in answer.result().items()}
    missing = [resource for resource in owned if resource.id not in described and not is_new(session, resource)]
    others = {resource.id for resource in shown_by_id(session, missing)}
    shown = [described.get(resource.id) or _not_described(session, resource, others) for resource in owned]
    shown += [perhaps(session, intent) for intent in known.unsettled]
    shown += [replace(resource, state=UNKNOWN_TYPE) for resource in known.unknown]
    return sorted(shown, key=lambda resource: (resource.experiment or "", resource.kind, resource.id))


def perhaps(session: Session, intent: Record) -> Resource:
    """Return a row for what an intent without an answer may have made."""
    return Resource(
        kind=next(kind.name for kind in session.kinds.values() if intent.operation in kind.created_by),
        id="?",
        region=str(intent.region),
        experiment=intent.experiment,
        since=intent.time,
        state=f"perhaps made: make teardown EXP={intent.experiment}",
    )


def _not_described(session: Session, resource: Resource, others: Collection[str]) -> Resource:
    state = UNLIKE_ITS_TAGS if resource.id in others else UNKNOWN_TO_AWS
    return replace(resource, state=NOT_SHOWN_YET if is_new(session, resource) else state)


def _described(session: Session, kind_name: str, region: str) -> dict[str, Resource]:
    kind = session.kinds[kind_name]
    found = kind.find(session.cloud, region, [{"Name": "tag-key", "Values": [EXPERIMENT]}])
    resources = [kind.resource(item, region, tag_map(item.get("Tags"))) for item in found]
    more = kind.looked_up(session.cloud, region, resources)
    return {r.id: replace(r, details={**r.details, **more.get(r.id, {})}) for r in resources}
