"""Where to ask next: the order of the pools, and what each refusal rules out. Pure; nothing here talks to AWS."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from scripts.core.capacity.refusals import ZONE, Meaning, Refusal, quota_family


@dataclass(frozen=True, slots=True)
class Pool:
    """One place that a machine may come from: what one RunInstances call asks for."""

    region: str
    instance_type: str
    market: str
    zone: str | None = None
    """None leaves the zone to EC2, which then looks in every zone of the region."""
    subnet: str | None = None
    """Set where the lab names subnets; it pins the zone as well."""

    def __str__(self) -> str:
        return f"{self.region}  {self.subnet or self.zone or 'any zone'}  {self.instance_type}  {self.market}"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What an experiment would take, each list in the order of preference."""

    regions: Sequence[str]
    types: Sequence[str]
    markets: Sequence[str]
    zones: Sequence[str] = ()
    """The only zones that will do; empty for all."""
    subnets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The only subnets that will do, for each region; empty for the default VPC's."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A set of pools, by what they have in common; None stands for any."""

    region: str
    instance_type: str | None = None
    zone: str | None = None
    family: str | None = None
    market: str | None = None

    def covers(self, pool: Pool) -> bool:
        """Say whether a pool is in the set."""
        return (
            self.region == pool.region
            and self.instance_type in (None, pool.instance_type)
            and self.zone in (None, pool.zone)
            and self.family in (None, quota_family(pool.instance_type))
            and self.market in (None, pool.market)
        )


ZonesOffering = Callable[[str], Mapping[str, Sequence[str]]]
"""region -> instance type -> the zones that offer it."""


class Search:
    """A search for capacity: rounds over the pools, without those that refusals have ruled out.

    A round first asks each region without naming a zone, by preference: one call there asks all its zones. Only when
    every region has refused are the zones asked one by one, those in front that a refusal's message named.
    """

    def __init__(self, wishes: Wishes, zones_offering: ZonesOffering) -> None:
        self.refusals: dict[Pool, Refusal] = {}
        """The last answer of every pool that was asked, in the order of asking."""
        self.ruled_out: dict[Scope, str] = {}
        """What is out for the whole search, and why."""
        self._wishes = wishes
        self._zones_offering = zones_offering

    def round(self) -> Iterator[Pool]:
        """Yield the pools of one round, each at most once; what is ruled out meanwhile is left out."""
        for pool in self._first_pass():
            if not self.reason_against(pool):
                yield pool
        for pool in self._second_pass():
            if not self.reason_against(pool):
                yield pool

    def refused(self, pool: Pool, refusal: Refusal) -> None:
        """Note an answer, and what it rules out for good."""
        self.refusals[pool] = refusal
        if scope := _ruled_out_by(pool, refusal):
            self.ruled_out.setdefault(scope, str(refusal))

    def region_unready(self, region: str, reason: str) -> None:
        """Rule a whole region out."""
        self.ruled_out[Scope(region)] = reason

    def reason_against(self, pool: Pool) -> str | None:
        """Return why a pool is out for good, or None."""
        return next((reason for scope, reason in self.ruled_out.items() if scope.covers(pool)), None)

    def exhausted(self) -> bool:
        """Say whether another round would ask nobody."""
        return all(self.reason_against(pool) for pool in self._first_pass())

    def _first_pass(self) -> Iterator[Pool]:
        for region, instance_type, market in self._choices():
            subnets, zones = self._wishes.subnets.get(region, ()), self._zones_of(region)
            if subnets:
                yield from (Pool(region, instance_type, market, subnet=subnet) for subnet in subnets)
            elif self._wishes.zones:
                yield from (Pool(region, instance_type, market, zone) for zone in zones)
            else:
                yield Pool(region, instance_type, market)

    def _second_pass(self) -> Iterator[Pool]:
        if self._wishes.zones:
            return
        for region, instance_type, market in self._choices():
            if self._wishes.subnets.get(region) or self.reason_against(Pool(region, instance_type, market)):
                continue
            zones = self._zones_offering(region).get(instance_type, ())
            for zone in sorted(zones, key=lambda zone: zone not in self._hinted(region, instance_type)):
                yield Pool(region, instance_type, market, zone)

    def _choices(self) -> Iterator[tuple[str, str, str]]:
        for region in self._wishes.regions:
            for instance_type in self._wishes.types:
                for market in self._wishes.markets:
                    yield region, instance_type, market

    def _zones_of(self, region: str) -> list[str]:
        return [zone for zone in self._wishes.zones if zone[:-1] == region]

    def _hinted(self, region: str, instance_type: str) -> set[str]:
        return {
            zone
            for pool, refusal in self.refusals.items()
            if (pool.region, pool.instance_type) == (region, instance_type)
            for zone in refusal.zones_named
        }


def _ruled_out_by(pool: Pool, refusal: Refusal) -> Scope | None:
    match refusal.meaning:
        case Meaning.NOT_IN_REGION:
            return Scope(pool.region, pool.instance_type)
        case Meaning.QUOTA:
            return Scope(pool.region, family=quota_family(pool.instance_type), market=pool.market)
        case Meaning.RESERVATION_OUT:
            return Scope(pool.region, pool.instance_type, market=pool.market)
        case Meaning.REGION_OUT:
            return Scope(pool.region)
        case Meaning.NOT_IN_ZONE:
            # Asked without a zone, EC2 names the one that it tried.
            named = re.search(ZONE, refusal.message)
            zone = pool.zone or (named[0] if named else None)
            return Scope(pool.region, pool.instance_type, zone) if zone else None
    return None
