"""What lives now: the registry's word on what there is, AWS's word on how it is."""

from __future__ import annotations

from dataclasses import replace

from scripts.core.kind import Resource
from scripts.core.session import Session
from scripts.core.tagging import EXPERIMENT, tag_map

UNKNOWN_TO_AWS = "not in AWS any more"


def standing(session: Session) -> list[Resource]:
    """Return what the registry says lives, each with what AWS says of it, by experiment.

    One description for each kind and region, all at the same time; nothing is asked where nothing lives.
    """
    recorded = session.holdings().living
    owned = [resource for resource in recorded if resource.experiment]
    places = {(resource.kind, resource.region) for resource in owned}
    asked = [session.threads.submit(_described, session, kind, region) for kind, region in sorted(places)]
    described = {identity: resource for answer in asked for identity, resource in answer.result().items()}
    shown = [described.get(resource.id, replace(resource, state=UNKNOWN_TO_AWS)) for resource in owned]
    return sorted(shown, key=lambda resource: (resource.experiment or "", resource.kind, resource.id))


def _described(session: Session, kind_name: str, region: str) -> dict[str, Resource]:
    kind = session.kinds[kind_name]
    found = kind.find(session.cloud, region, [{"Name": "tag-key", "Values": [EXPERIMENT]}])
    resources = [kind.resource(item, region, tag_map(item.get("Tags"))) for item in found]
    return {resource.id: resource for resource in resources}
