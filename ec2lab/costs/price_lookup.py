"""Price lookup: the cache while fresh, then AWS, then older or bundled prices."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from ec2lab import clock
from ec2lab.aws.cloud import Cloud
from ec2lab.aws.region_queries import in_time
from ec2lab.costs.aws_prices import PriceUnavailable, family_prices, list_price, spot_changes
from ec2lab.costs.money import Dollars
from ec2lab.costs.price_book import Origin, Priced, Unit
from ec2lab.costs.price_cache import Known, PriceCache, SpotHistory
from ec2lab.costs.rates import SpotRate
from ec2lab.errors import UserError
from ec2lab.events import Unavailable

LIST_TTL = timedelta(days=7)  # list prices change a few times a year
SPOT_TTL = timedelta(hours=1)  # Spot prices change several times a day
NEGATIVE_TTL = timedelta(days=1)  # after which AWS is asked again for a price that it did not list
PATIENCE = timedelta(hours=1)  # after which AWS is asked again if it could not be reached
SPOT_HISTORY_LIMIT = timedelta(days=90)
"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html"""
FAILURE = "not told: {}"
"""The cache's entry for a failed lookup, with its time: of list prices, or of a region's spot prices."""
LIST = "list prices"
AGAIN_LATER = "AWS did not return them within the last hour; retried after an hour"
LISTED, SHIPPED = "AWS's price list", "the file that comes with the lab"

Answer = TypeVar("Answer")


@dataclass
class PriceLookup:
    """The prices available to a lab. `cloud` is created only when AWS is asked."""

    cloud: Callable[[], Cloud]
    cache: PriceCache
    timeout: float = 10.0  # seconds for AWS to respond
    list_region: str = "us-east-1"  # the region asked for list prices, to name it in errors
    asks_aws: bool = True  # whether AWS is asked at all
    _unknown: dict[str, str] = field(default_factory=dict)  # the prices that are not known, with reasons
    _list_failed: str = ""
    _used: dict[Priced, Origin] = field(default_factory=dict)

    def listed(self, wanted: Priced) -> Dollars:
        known = self.cache.listed(str(wanted))
        if not self._is_fresh(known):
            known = self._asked(wanted) or known
        if known and known.dollars is not None:
            self._used[wanted] = Origin(known.at.replace(hour=0, minute=0, second=0, microsecond=0), LISTED)
            return known.dollars
        if (price := bundled_price(wanted)) is not None:
            self._used[wanted] = Origin(bundled_date(), SHIPPED)
        elif self._in_backoff(LIST):
            self._unknown.setdefault(LIST, self._list_failed or AGAIN_LATER)
        return price

    def prefetch_instances(self, region: str, types: Sequence[str]) -> None:
        """Look the list prices of many instance types up, a family at a time, as far as they are not at hand."""
        stale = [name for name in types if not self._is_fresh(self.cache.listed(_key(region, name)))]
        for family in sorted({name.partition(".")[0] for name in stale}):
            found = self._ask(LIST, partial(family_prices, region=region, family=family))
            if found is None:
                return
            unlisted = dict.fromkeys(name for name in stale if name.startswith(f"{family}."))
            self.cache.store(
                {_key(region, name): Known(price, _now()) for name, price in {**unlisted, **found}.items()}
            )

    def unknown(self) -> Iterable[Unavailable]:
        """Return the prices that AWS did not return, with reasons."""
        return [
            Unavailable(what=LIST, region=self.list_region, reason=why)
            if what == LIST
            else Unavailable(what="spot prices", region=what, reason=why)
            for what, why in self._unknown.items()
        ]

    def origins(self) -> Iterable[Origin]:
        return self._used.values()

    @staticmethod
    def _is_fresh(known: Known | None) -> bool:
        return known is not None and _age(known) <= (LIST_TTL if known.dollars is not None else NEGATIVE_TTL)

    def _asked(self, wanted: Priced) -> Known | None:
        known = self._ask(LIST, lambda cloud: Known(list_price(cloud, wanted), _now()))
        if known:
            self.cache.store({str(wanted): known})
        return known

    def spot_now(self, region: str, types: Sequence[str]) -> Mapping[str, float]:
        """Return the lowest current spot price of each type over a region's zones, dollars an hour."""
        lacking = [kind for kind in types if not self._covering(region, kind, _now(), _now())]
        if lacking:
            self._fetch(region, lacking, _now())
        return {kind: price for kind in types if (price := self._lowest(region, kind)) is not None}

    def _lowest(self, region: str, instance_type: str) -> Dollars:
        history = self._covering(region, instance_type, _now(), _now())
        return min((changes[-1][1] for changes in history.zones.values()), default=None) if history else None

    def spot(self, region: str, zone: str, instance_type: str, began: datetime, ended: datetime) -> SpotRate:
        """Return a zone's spot prices over a period, as far as they are known."""
        if not self._covering(region, instance_type, began, ended):
            self._fetch(region, [instance_type], began)
        if history := self._covering(region, instance_type, began, ended):
            return SpotRate(history.zones.get(zone, ()), max(history.until, ended))
        return SpotRate((), ended)

    def _covering(self, region: str, instance_type: str, began: datetime, ended: datetime) -> SpotHistory | None:
        """Return what is known of a period; a price of the last hour counts as current."""
        for history in self.cache.spot(f"{region} {instance_type}"):
            if history.since <= began and ended <= history.until + SPOT_TTL:
                return history
        return None

    def _fetch(self, region: str, types: Sequence[str], since: datetime) -> None:
        asked_at = _now()
        if self.asks_aws and self._in_backoff(region):
            self._unknown.setdefault(region, AGAIN_LATER)
        elif since >= asked_at - SPOT_HISTORY_LIMIT:
            found = self._ask(region, lambda cloud: spot_changes(cloud, region, types, since))
            if found is not None:
                spans = {f"{region} {t}": SpotHistory(since, asked_at, found.get(t, {})) for t in types}
                self.cache.store(spot=spans)

    def _ask(self, what: str, question: Callable[[Cloud], Answer]) -> Answer | None:
        """Return AWS's response; None where it is not asked now, or does not tell."""
        if not self.asks_aws or self._in_backoff(what):
            return None
        try:
            cloud = self.cloud()
            cloud.expect_credentials()  # before the clock runs: somebody may have to type an MFA code
            return in_time(lambda: question(cloud), self.timeout)
        except (PriceUnavailable, UserError) as problem:
            self._record_failure(what, problem)
            return None

    def _in_backoff(self, what: str) -> bool:
        failure = self.cache.listed(FAILURE.format(what))
        return failure is not None and _age(failure) < PATIENCE

    def _record_failure(self, what: str, problem: Exception) -> None:
        if what == LIST:  # another source may have the price
            self._list_failed = str(problem)
        else:
            self._unknown[what] = str(problem)
        self.cache.store({FAILURE.format(what): Known(None, _now())})


def _key(region: str, instance_type: str) -> str:
    return str(Priced(Unit.INSTANCE, region, instance_type))


def _age(known: Known) -> timedelta:
    return _now() - known.at


def _now() -> datetime:
    return clock.now()


FILE = Path(__file__).with_name("list_prices.toml")
VOLUME_UNITS = (Unit.SIZE, Unit.IOPS, Unit.THROUGHPUT)


def bundled_price(wanted: Priced) -> Dollars:
    region = _loaded().get(wanted.region, {})
    if wanted.unit is Unit.INSTANCE:
        found = region.get("instances", {}).get(wanted.name)
    elif wanted.unit in VOLUME_UNITS:
        found = region.get("volumes", {}).get(wanted.name, {}).get(wanted.unit)
    else:
        found = region.get(wanted.unit)
    return None if found is None else float(found)


def bundled_instances(region: str) -> list[str]:
    """Return the instance types whose price in a region the file has."""
    return list(_loaded().get(region, {}).get("instances", {}))


def bundled_date() -> datetime:
    day: date = _loaded()["date"]
    return datetime.combine(day, time(), UTC)


def regions() -> list[str]:
    return [name for name, prices in _loaded().items() if isinstance(prices, dict)]


@cache
def _loaded() -> Mapping[str, Any]:
    return tomllib.loads(FILE.read_text())
