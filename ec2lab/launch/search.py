"""The order of the capacity pools, what each error excludes, and advice if none is left. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ec2lab.aws.error_codes import NOT_PERMITTED, REGION_OUT, ApiError, ErrorCategory
from ec2lab.capacity_pools import Market, Pool
from ec2lab.config.models import Experiment, Lab
from ec2lab.errors import UserError
from ec2lab.events.launch import CapacityExhausted, Rejection
from ec2lab.launch.reservations import Reservation
from ec2lab.printable import shortened
from ec2lab.quota_names import quota_key, quota_name
from ec2lab.regions import region_of_zone


@dataclass(frozen=True, slots=True)
class PlacementPreferences:
    """What an experiment accepts, each list in order of preference."""

    regions: Sequence[str]
    instance_types: Sequence[str]
    markets: Sequence[Market]
    zones: Sequence[str] = ()  # the only zones to use; empty for all
    subnets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By region, the only subnets to use; empty for those of the default VPC."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A set of pools with something in common; None matches anything."""

    region: str
    instance_type: str | None = None
    zone: str | None = None
    subnet: str | None = None
    quota: str | None = None  # as returned by `quota_key`
    market: Market | None = None

    def covers(self, pool: Pool) -> bool:
        return (
            self.region == pool.region
            and self.instance_type in (None, pool.instance_type)
            and self.zone in (None, pool.zone)
            and self.subnet in (None, pool.subnet)
            and self.quota in (None, quota_key(pool.instance_type, pool.market.type))
            and self.market in (None, pool.market)
        )


ZonesToTry = Callable[[str, str], Sequence[str]]  # (region, instance type) -> the zones to try one by one


class Search:
    """A search for capacity: rounds over the pools that errors have not excluded.

    A round first tries each region without a zone, in order of preference: one call covers all its zones. Only if all
    regions fail are zones tried one by one, those first that an error message suggested.
    """

    def __init__(self, preferences: PlacementPreferences, zones_to_try: ZonesToTry) -> None:
        self.errors: dict[Pool, ApiError] = {}  # the last error of every pool that was tried, in order
        self.ruled_out: dict[Exclusion, str] = {}  # what is excluded for the whole search, and why
        self.passed_over: dict[str, str] = {}  # regions that are skipped in this round only, and why
        self.unoffered: dict[tuple[str, str], str] = {}
        """By region and type, that AWS lists no offer; `Unsupported` errors may have other causes."""
        self._region_errors: dict[str, ApiError] = {}
        self._reserved: dict[tuple[str, Market], Reservation] = {}
        self._preferences = preferences
        self._zones_to_try = zones_to_try

    def round(self) -> Iterator[Pool]:
        """Yield the pools of one round, each at most once, without those excluded in the meantime."""
        self.passed_over.clear()
        for a_pass in (self._first_pass, self._second_pass):
            for pool in a_pass():
                if pool.region not in self.passed_over and not self.exclusion_reason(pool):
                    yield pool

    def record_failure(self, pool: Pool, error: ApiError) -> None:
        """Note a pool's error, and what it excludes permanently."""
        error = replace(error, region=pool.region, market=str(pool.market), instance_type=pool.instance_type)
        self.errors[pool] = error
        if exclusion := _exclusion_for(pool, error):
            self.ruled_out.setdefault(exclusion, error.explained)
        if error.category in REGION_OUT and not error.is_about_a_subnet:
            self._region_errors.setdefault(pool.region, error)

    def exclude_region(self, region: str, reason: str, error: ApiError | None = None) -> None:
        """Exclude a region. `error` is AWS's error, if there was one."""
        self.ruled_out[Exclusion(region)] = reason
        if error:
            self._region_errors.setdefault(region, error)

    def reserve(self, region: str, market: Market, found: Reservation | None) -> None:
        """Note a reservation's state in a region, and exclude what it can never be used for."""
        if found is None:
            self.ruled_out[Exclusion(region, market=market)] = f"{market.reservation} is not in {region}"
            return
        self._reserved[region, market] = found
        if self._preferences.zones and found.zone not in self._preferences.zones:
            self.ruled_out[Exclusion(region, market=market)] = f"{found.id} is in {found.zone}, which zones leaves out"
        for instance_type in self._preferences.instance_types:
            if reason := found.exclusion_reason(market, instance_type):
                self.ruled_out[Exclusion(region, instance_type, market=market)] = reason

    def lack(self, pool: Pool, wanted: int) -> str | None:
        found = self._reserved.get((pool.region, pool.market))
        return found.lack(wanted) if found else None

    def pass_over(self, region: str, reason: str) -> None:
        self.passed_over[region] = reason

    def exclusion_reason(self, pool: Pool) -> str | None:
        return next((reason for exclusion, reason in self.ruled_out.items() if exclusion.covers(pool)), None)

    def reasons(self) -> list[str]:
        """Return why pools are excluded or skipped, each reason once."""
        return list(dict.fromkeys([*self.ruled_out.values(), *self.passed_over.values()]))

    def exhausted(self) -> bool:
        return all(self.exclusion_reason(pool) for pool in self._first_pass())

    def global_error(self) -> ApiError | None:
        """Return the error if all regions reported invalid credentials or missing permissions, else None."""
        said = [self._region_errors.get(region) for region in self._preferences.regions]
        return said[0] if said and all(error and _may_be_global(error) for error in said) else None

    def _first_pass(self) -> Iterator[Pool]:
        for region, instance_type, market in self._combinations():
            subnets, zones = self._preferences.subnets.get(region, ()), self._zones_of(region)
            reserved = self._reserved.get((region, market))
            if subnets:
                yield from (Pool(region, instance_type, market, subnet=subnet) for subnet in subnets)
            elif reserved:
                yield Pool(region, instance_type, market, reserved.zone)
            elif self._preferences.zones:
                yield from (Pool(region, instance_type, market, zone) for zone in zones)
            else:
                yield Pool(region, instance_type, market)

    def _second_pass(self) -> Iterator[Pool]:
        if self._preferences.zones:
            return
        for region, instance_type, market in self._combinations():
            pinned = self._preferences.subnets.get(region) or (region, market) in self._reserved
            if pinned or self.exclusion_reason(Pool(region, instance_type, market)):
                continue
            zones = self._zones_to_try(region, instance_type)
            for zone in sorted(zones, key=lambda zone: zone not in self._suggested_zones(region, instance_type)):
                yield Pool(region, instance_type, market, zone)

    def _combinations(self) -> Iterator[tuple[str, str, Market]]:
        for region in self._preferences.regions:
            for instance_type in self._preferences.instance_types:
                for market in self._preferences.markets:
                    yield region, instance_type, market

    def _zones_of(self, region: str) -> list[str]:
        return [zone for zone in self._preferences.zones if region_of_zone(zone) == region]

    def _suggested_zones(self, region: str, instance_type: str) -> set[str]:
        return {
            zone
            for pool, error in self.errors.items()
            if (pool.region, pool.instance_type) == (region, instance_type)
            for zone in error.zones_named
        }


def _may_be_global(error: ApiError) -> bool:
    return error.category in NOT_PERMITTED or error.is_about_credentials


def _exclusion_for(pool: Pool, error: ApiError) -> Exclusion | None:
    """Return what an error excludes, and no more than it states."""
    this = Exclusion(pool.region, pool.instance_type, market=pool.market)
    zone, found = pool.zone or error.unavailable_zone, None
    match error.category:
        case ErrorCategory.NOT_OFFERED | ErrorCategory.RESERVATION_UNUSABLE:
            found = this
        case ErrorCategory.COMPUTE_QUOTA:
            found = Exclusion(pool.region, quota=quota_key(pool.instance_type, pool.market.type))
        case ErrorCategory.NOT_OFFERED_IN_ZONE if pool.subnet or zone:
            found = replace(this, zone=None if pool.subnet else zone, subnet=pool.subnet)
        case ErrorCategory.ZONE_UNAVAILABLE if zone and error.lacks_default_subnet:
            found = Exclusion(pool.region, zone=error.unavailable_zone or zone)
        case category if category in REGION_OUT:
            found = Exclusion(pool.region, subnet=pool.subnet if error.is_about_a_subnet else None)
    return found


def placement_preferences(lab: Lab, name: str, experiment: Experiment) -> PlacementPreferences:
    regions, zones = experiment.regions or lab.regions, experiment.zones or []
    if strangers := [zone for zone in zones if region_of_zone(zone) not in regions]:
        raise UserError(
            f"experiments/{name}.toml: zones: {strangers[0]} is in none of its regions ({', '.join(regions)})"
        )
    subnets = allowed_subnets(lab, experiment)
    if zones and subnets:
        raise UserError(f"experiments/{name}.toml: zones: subnets are set too, and each is in one zone; remove zones")
    return PlacementPreferences(regions, experiment.instance_types, experiment.markets, zones, subnets)


def allowed_subnets(lab: Lab, experiment: Experiment) -> Mapping[str, Sequence[str]]:
    """Return the subnets that an experiment is limited to, by region; empty if EC2 may choose."""
    return experiment.subnets if experiment.subnets is not None else lab.network.subnets


def exhausted_event(search: Search, experiment: str) -> CapacityExhausted:
    """Return the event for an unsuccessful search: each pool with its last error, and advice."""
    rejections = [
        Rejection(
            region=pool.region, zone=pool.zone, subnet=pool.subnet, instance_type=pool.instance_type,
            market=str(pool.market), code=error.code, category=error.category.name, explanation=str(error),
        )
        for pool, error in search.errors.items()
    ]  # fmt: skip
    return CapacityExhausted(
        experiment=experiment, rejections=rejections, exclusions=list(search.ruled_out.values()),
        advice=advice(search, experiment),
    )  # fmt: skip


EBS_QUOTAS = {  # https://docs.aws.amazon.com/general/latest/gr/ebs-service.html
    "VolumeLimitExceeded": 'EBS storage ("Storage for … volumes, in TiB")',
    "MaxIOPSLimitExceeded": 'EBS "IOPS for Provisioned IOPS SSD … volumes"',
    "SnapshotLimitExceeded": 'EBS "Snapshots per Region"',
}
NETWORK_QUOTAS = {  # https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html, with other remedies
    "AddressLimitExceeded": '"EC2-VPC Elastic IPs" (Amazon EC2); releasing an unused address frees one',
    "NetworkInterfaceLimitExceeded": '"Network interfaces per Region" (Amazon VPC); '
    "deleting interfaces in state `available` frees some",
    "SecurityGroupLimitExceeded": '"VPC security groups per Region" (Amazon VPC); deleting unused groups frees some',
    "RulesPerSecurityGroupLimitExceeded": '"Inbound or outbound rules per security group" (Amazon VPC); '
    "deleting rules of unused addresses frees some",
}


def advice(search: Search, experiment: str) -> list[str]:
    """Return what the user can do about each category of error, without repetition."""
    lines = [line for pool, error in search.errors.items() if (line := _about(search, pool, error))]
    if any(error.category is ErrorCategory.INSUFFICIENT_CAPACITY for error in search.errors.values()):
        lines.append(
            f"allow more types, markets or regions in experiments/{experiment}.toml, "
            'or retry for longer (capacity_timeout = "6h")'
        )
    return list(dict.fromkeys(lines))


def _about(search: Search, pool: Pool, error: ApiError) -> str | None:
    code, said = error.code.removeprefix("Client."), None
    match error.category:
        case ErrorCategory.COMPUTE_QUOTA if name := quota_name(pool.instance_type, pool.market.type):
            said = f"request a higher quota from AWS: {name}, in {pool.region} (Service Quotas, Amazon EC2)"
        case ErrorCategory.COMPUTE_QUOTA:
            said = f"request a higher quota from AWS for {pool.instance_type}, {pool.market}, in {pool.region}"
        case ErrorCategory.STORAGE_QUOTA:
            said = f"request a higher quota from AWS: {EBS_QUOTAS[code]}, in {pool.region} (Service Quotas, Amazon EBS)"
        case ErrorCategory.NETWORK_QUOTA:
            said = f"request a higher quota from AWS in {pool.region}: {NETWORK_QUOTAS[code]}"
        case ErrorCategory.NOT_OFFERED if reason := search.unoffered.get((pool.region, pool.instance_type)):
            said = f"{reason}: leave it out, or add a region that offers it"
        case ErrorCategory.NOT_OFFERED:
            said = (
                f"{pool.region} refuses {pool.instance_type}, {pool.market}, as it is asked for "
                f"({shortened(' '.join(error.message.split()))}): see to the market, "
                "and to the image's architecture and boot mode"
            )
    return said
