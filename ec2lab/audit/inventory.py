"""Everything of a known kind that lives in an account, in all its regions, asked for at the same time."""

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
from ec2lab.resource import GLOBAL, Resource, ResourceType
from ec2lab.session import Session
from ec2lab.volumes.sources import known_regions

OTHERS = "other regions"
"""Stands for those of the account that nobody tells."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing in the account."""

    resource: Resource
    tags: Mapping[str, str]
    kind: ResourceType
    found: Mapping[str, Any]
    """AWS's description of it."""
    idle: str
    """Why it may be forgotten, if nobody in the lab asked for it."""
    monthly: Dollars
    malformed: Sequence[MalformedTag] = ()
    """The lab's own tags on it that nobody can read."""


@dataclass(slots=True)
class Survey:
    """What lives in the account."""

    items: list[Item] = field(default_factory=list)
    regions: list[str] = field(default_factory=list)
    """Those that were seen whole; `global` is what belongs to none."""
    unseen: dict[str, str] = field(default_factory=dict)
    """By region, why it could not be looked at, or not whole."""
    unknown: Sequence[Unavailable] = ()


def survey(session: Session, regions: Sequence[str] = ()) -> Survey:
    """Describe all kinds in all regions that the account has enabled, or in those named. One's failure stops no other.

    Raises UserError where no region at all could be seen, or there are no credentials.
    """
    session.cloud.expect_credentials()
    places, found = list(regions), Survey()
    if not places:
        places, found.unseen = enabled_regions(session)
    responses = session.query({
        (region, kind.name): partial(kind.whole, session.cloud, region, [])
        for kind in session.kinds.values()
        for region in kind.places(places)
    })  # fmt: skip
    if not any(region != GLOBAL for region, _ in responses.found):
        raise UserError("; ".join(not_seen(found.unseen | responses.unseen)))
    # Prices are looked up here: one that AWS is slow to tell is no reason not to have seen a region.
    known = pricing(session)
    found.items = [
        _item(session.kinds[kind], region, item, known)
        for (region, kind), items in responses.found.items()
        for item in items
    ]
    found.unseen |= responses.unseen
    found.unknown = known.book.unknown()
    asked = dict.fromkeys([*places, *(region for region, _ in responses.found)])
    found.regions = [region for region in asked if region not in found.unseen]
    return found


def enabled_regions(session: Session) -> tuple[list[str], dict[str, str]]:
    """Return the regions that the account may use, the lab's own first.

    The first of the lab's regions that tells is believed. Where none does, those are returned where the lab may have
    something, and why others can't be known.
    """
    why: dict[str, str] = {}
    for asked in session.lab.regions:
        responses = session.query({(asked, "regions"): session.cloud.ec2(asked).describe_regions})
        for told in responses.found.values():
            names = sorted(region["RegionName"] for region in told["Regions"])
            return list(dict.fromkeys([*session.lab.regions, *names])), {}
        why |= responses.unseen
    return known_regions(session), {OTHERS: f"{asked} does not tell which there are: {why[asked]}"}


def _item(kind: ResourceType, region: str, found: Mapping[str, Any], pricing: Pricing) -> Item:
    tags = from_aws(found.get("Tags"))
    resource, monthly = kind.resource(found, region, tags), pricing.monthly(kind.name, found, region)
    return Item(resource, tags, kind, found, kind.idle(found), monthly, malformed(found.get("Tags")))
