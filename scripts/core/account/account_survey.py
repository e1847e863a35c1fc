"""Everything of a known kind that lives in an account, in all its regions, asked for at the same time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from scripts.core.aws.aws_errors import described
from scripts.core.aws.tag_forms import MalformedTag, malformed
from scripts.core.aws.tags import tag_map
from scripts.core.costs.dollars import Dollars
from scripts.core.costs.price_book import PriceBook
from scripts.core.kind import Kind, Resource
from scripts.core.session import Session


@dataclass(frozen=True, slots=True)
class Item:
    """One thing in the account."""

    resource: Resource
    tags: Mapping[str, str]
    kind: Kind
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
    """By region, why it could not be looked at."""


def survey(session: Session, regions: Sequence[str] = ()) -> Survey:
    """Describe all kinds in all regions that the account has enabled, or in those named. One's failure stops no other.

    Raises ClientError where AWS does not even tell its regions.
    """
    places = list(regions) or enabled_regions(session)
    asked = {
        (region, kind.name): session.threads.submit(_described, session, kind, region)
        for kind in session.kinds.values()
        for region in kind.places(places)
    }
    found = Survey()
    for (region, _), answer in asked.items():
        try:
            found.items += answer.result()
        except ClientError as refusal:
            found.unseen.setdefault(region, described(refusal))
        except (BotoCoreError, ResponseParserError) as problem:
            found.unseen.setdefault(region, str(problem).partition("\n")[0])
    found.regions = [
        region for region in dict.fromkeys([*places, *(place for place, _ in asked)]) if region not in found.unseen
    ]
    return found


def enabled_regions(session: Session) -> list[str]:
    """Return the regions that the account may use, the lab's own first."""
    told = session.cloud.ec2(session.lab.regions[0]).describe_regions()["Regions"]
    return list(dict.fromkeys([*session.lab.regions, *sorted(region["RegionName"] for region in told)]))


def _described(session: Session, kind: Kind, region: str) -> list[Item]:
    return [_item(kind, region, found, session.prices) for found in kind.find(session.cloud, region, [])]


def _item(kind: Kind, region: str, found: Mapping[str, Any], book: PriceBook) -> Item:
    tags = tag_map(found.get("Tags"))
    resource, monthly = kind.resource(found, region, tags), kind.monthly(found, region, book)
    return Item(resource, tags, kind, found, kind.idle(found), monthly, malformed(found.get("Tags")))
