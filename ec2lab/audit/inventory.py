"""All live resources of known types in an account, described in all regions in parallel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ec2lab.aws.region_queries import not_seen
from ec2lab.aws.tag_forms import MalformedTag, malformed
from ec2lab.aws.tags import from_aws
from ec2lab.costs.money import Dollars
from ec2lab.costs.pricing import Pricing, pricing
from ec2lab.errors import UserError
from ec2lab.events import Unavailable
from ec2lab.progress import working
from ec2lab.resource import GLOBAL, Resource, ResourceType
from ec2lab.resources.live_in_aws import known_regions
from ec2lab.session import Session

OTHERS = "other regions"  # stands for unknown regions of the account


@dataclass(frozen=True, slots=True)
class Item:
    resource: Resource
    tags: Mapping[str, str]
    resource_type: ResourceType
    found: Mapping[str, Any]
    idle: str  # why it may be orphaned, if no lab requested it
    monthly: Dollars
    malformed: Sequence[MalformedTag] = ()  # the lab's tags on it that are unreadable


@dataclass(slots=True)
class Survey:
    items: list[Item] = field(default_factory=list)
    regions: list[str] = field(default_factory=list)
    """Those described completely; `global` is for resources without a region."""
    unseen: dict[str, str] = field(default_factory=dict)  # by region, why it could not be described, or not completely
    unknown: Sequence[Unavailable] = ()


@working("looking into all regions")
def survey(session: Session, regions: Sequence[str] = ()) -> Survey:
    """Describe all types in all enabled regions, or in those named. A failing region stops no other.

    Raises UserError where no region could be described, or there are no credentials.
    """
    session.cloud.expect_credentials()
    places, found = list(regions), Survey()
    if not places:
        places, found.unseen = enabled_regions(session)
    created = session.records.state_with_history().resource_types
    responses = session.queries.run({
        (region, resource_type.name): partial(resource_type.whole, session.cloud, region, [])
        for resource_type in session.resource_types.values()
        if not resource_type.is_free or resource_type.name in created
        for region in resource_type.places(places)
    })  # fmt: skip
    if not any(region != GLOBAL for region, _ in responses.found):
        raise UserError("; ".join(not_seen(found.unseen | responses.unseen)))
    # Prices are looked up here: a slow price is no reason to leave a region out.
    known = pricing(session)
    found.items = [
        _item(session.resource_types[resource_type], region, item, known)
        for (region, resource_type), items in responses.found.items()
        for item in items
    ]
    found.unseen |= responses.unseen
    found.unknown = known.book.unknown()
    asked = dict.fromkeys([*places, *(region for region, _ in responses.found)])
    found.regions = [region for region in asked if region not in found.unseen]
    return found


def enabled_regions(session: Session) -> tuple[list[str], dict[str, str]]:
    """Return the regions that the account may use, the lab's own first.

    The first of the lab's regions that responds is used. Where none does, the regions are returned where the lab may
    have resources, and why others are unknown.
    """
    why: dict[str, str] = {}
    for asked in session.lab.regions:
        responses = session.queries.run({(asked, "regions"): session.cloud.ec2(asked).describe_regions})
        for found in responses.found.values():
            names = sorted(region["RegionName"] for region in found["Regions"])
            return list(dict.fromkeys([*session.lab.regions, *names])), {}
        why |= responses.unseen
    return known_regions(session), {OTHERS: f"{asked} did not list them: {why[asked]}"}


def _item(resource_type: ResourceType, region: str, found: Mapping[str, Any], pricing: Pricing) -> Item:
    tags = from_aws(found.get("Tags"))
    resource, monthly = resource_type.resource(found, region, tags), pricing.monthly(resource_type.name, found, region)
    return Item(resource, tags, resource_type, found, resource_type.idle(found), monthly, malformed(found.get("Tags")))
