"""What the resources of a lab cost: the registry's records, the pricers of their types and prices make charges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from ec2lab import clock
from ec2lab.aws.account import Account
from ec2lab.console import warn
from ec2lab.costs.aws_prices import pricing_region
from ec2lab.costs.charges import EPOCH, Charge, CostPeriod
from ec2lab.costs.money import Dollars
from ec2lab.costs.price_book import PriceBook
from ec2lab.costs.price_cache import PriceCache
from ec2lab.costs.price_lookup import PriceLookup
from ec2lab.costs.pricer import Pricer, pricers
from ec2lab.errors import PluginFailed
from ec2lab.registry.history import History
from ec2lab.registry.record import Record, by_account
from ec2lab.resource import ResourceType
from ec2lab.session import Session


@dataclass(frozen=True, slots=True)
class Pricing:
    """Prices, and by which of them resources of each type are paid."""

    resource_types: Mapping[str, ResourceType]
    pricers: Mapping[str, Pricer]
    book: PriceBook

    def monthly(self, resource_type: str, found: Mapping[str, Any], region: str) -> Dollars:
        """Return what a described resource costs a month as it is now; None where that is not known."""
        return self.pricers[resource_type].monthly(found, region, self.book) if resource_type in self.pricers else 0.0

    def charges(
        self,
        records: Iterable[Record] | History,
        since: datetime | None = None,
        until: datetime | None = None,
        now: datetime | None = None,
    ) -> list[Charge]:
        """Return what the resources that records tell of cost between two times, oldest first.

        Left out, `since` is the beginning and `until` is now; what would fall into the future is not counted.
        """
        now = now or clock.now()
        ends = min(until or now, now)
        history = records if isinstance(records, History) else History(records)
        found = (span.charge(since or EPOCH, ends, now) for span in self.spans(history, now))
        return sorted(
            (charge for charge in found if charge), key=lambda charge: (charge.began, charge.resource_type, charge.id)
        )

    def spans(self, history: History, now: datetime) -> list[CostPeriod]:
        """Return every billed period, uncut."""
        return [
            span
            for resource_type in self.resource_types
            if resource_type in self.pricers
            for span in self._of(resource_type, history, now)
        ]

    def _of(self, resource_type: str, history: History, now: datetime) -> list[CostPeriod]:
        """Return the periods of one resource type. An error in a plugin's meter hides no other type."""
        try:
            return list(self.pricers[resource_type].spans(self.resource_types[resource_type], history, self.book, now))
        except PluginFailed as failed:
            warn(f"what each {resource_type} costs is unknown: {failed}")
            return []


def pricing(session: Session) -> Pricing:
    """Return what a command reckons by."""
    return session.once(_pricing)


def _pricing(session: Session) -> Pricing:
    return Pricing(session.resource_types, pricers(session.plugins), price_book(session))


def price_book(session: Session, *, asks_aws: bool = True) -> PriceBook:
    """Return what is known of prices; without `asks_aws`, without asking AWS."""
    profile = f"-{quote(session.lab.profile, safe='')}" if session.lab.profile else ""
    cache = PriceCache(session.directory / ".cache" / f"prices-{session.lab.cloud}{profile}.json")
    home = session.lab.regions[0]
    where = pricing_region(home) or home
    return PriceBook(PriceLookup(lambda: session.cloud, cache, session.queries.timeout, where, asks_aws))


def paid_for(session: Session, records: Iterable[Record]) -> list[Record]:
    """Return the records of what is billed where the lab works: in AWS, in any account; or in local clouds."""
    local = session.lab.cloud == "local"
    return [record for record in records if record.whose is None or record.whose.is_local == local]


def charges_by_account(
    session: Session, since: datetime | None = None, until: datetime | None = None
) -> dict[Account | None, list[Charge]]:
    """Return a lab's charges by account, from its registry and archive. Raises UserError."""
    found = by_account(paid_for(session, session.registry.history()))
    priced = {account: pricing(session).charges(records, since, until) for account, records in found.items()}
    return {account: some for account, some in priced.items() if some}
