"""What a launch needs in each region: the sum of the parts' shares, looked up in threads and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ec2lab import clock
from ec2lab.aws.error_codes import ApiError
from ec2lab.aws.errors import AWS_ERRORS, AwsError, api_error, described
from ec2lab.aws.region_queries import TICK, NoResponse
from ec2lab.config.models import Experiment
from ec2lab.console import warn
from ec2lab.errors import UserError
from ec2lab.launch.part import LaunchContext, LaunchFragment, RegionUnavailable, launch_parts, total
from ec2lab.session import Session
from ec2lab.templates import environment

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

WARMUP_DELAY = 0.03
"""Seconds that the call to be waited for gets to leave first: making a client keeps Python busy for 30 ms."""


class RegionSpecs:
    """The shares of one launch, by region."""

    def __init__(self, session: Session, name: str, experiment: Experiment) -> None:
        self._session = session
        self._site: Callable[[str], LaunchContext] = lambda region: LaunchContext(session, name, experiment, region)
        self._parts = launch_parts(session.plugins)
        self._looks: dict[str, list[Future[LaunchFragment]]] = {}
        self._ready: dict[str, LaunchFragment] = {}
        self._warm: set[str] = set()

    def prefetch(self, regions: Iterable[str]) -> None:
        """Begin to look regions up, all parts at the same time, without waiting for the answers."""
        for region in regions:
            if region not in self._looks:
                site = self._site(region)
                self._looks[region] = [self._session.threads.submit(part.share, site) for part in self._parts]

    def look_again(self, region: str) -> None:
        """Look a region up again when it is next asked for: what it answered may have passed."""
        self._looks.pop(region, None)

    def warm_up(self, regions: Iterable[str]) -> None:
        """Make the clients of regions in a thread, while a call of another region is waited for; nothing is sent."""
        cold = [region for region in regions if region not in self._warm]
        self._warm.update(cold)
        if cold:
            self._session.threads.submit(self._make_clients, cold)

    def _make_clients(self, regions: Iterable[str]) -> None:
        clock.sleep(WARMUP_DELAY)
        for region in regions:
            for make in (self._session.cloud.ec2, self._session.cloud.ec2_no_retry):
                if not self._session.over.is_set():
                    make(region)

    def plain(self, region: str) -> LaunchFragment:
        """Return a region's share, what is to be prepared still in it. Raises RegionUnready or UserError."""
        self.prefetch([region])
        # While the answers are on their way, what the request wants is made ready.
        environment()
        self._session.cloud.ec2_no_retry(region)
        with _of_one_region():
            return total(self._in_time(region))

    def _in_time(self, region: str) -> Iterator[LaunchFragment]:
        """Yield what the looks tell. Raises RegionUnready where they take three times as long as one response may.

        A part may ask for several things, one after the other.
        """
        with suppress(UserError):  # who has to type a code has the time for that; each look says what else is wrong
            self._session.cloud.expect_credentials()
        left = 3 * self._session.region_timeout
        for look in self._looks[region]:
            while not look.done() and left > 0:
                left -= clock.wait_for([look], min(TICK, left))
            if not look.done():
                self._session.gives_up()
                timeout = ApiError("NoResponse", "")
                raise RegionUnavailable(f"no response within {3 * self._session.region_timeout:g} s", timeout)
            yield look.result()

    def ready(self, region: str) -> LaunchFragment:
        """Return a region's share with everything made that it needs. Raises RegionUnready or UserError."""
        if region not in self._ready:
            share = self.plain(region)
            if share.prerequisites:
                with self._session.preparing, _of_one_region():
                    if region in self._session.prepared:  # by another launch, while this one waited
                        del self._looks[region]
                        share = self.plain(region)
                    self._ready[region] = share.prepared()
                    self._session.prepared.add(region)
            else:
                self._ready[region] = share
        return self._ready[region]


@contextmanager
def _of_one_region() -> Iterator[None]:
    """Turn an error of this region into RegionUnready, but for one that each region would answer for sure.

    Whether the others are in order is for them to say: a policy, or an opt-in, may be about this one alone.
    """
    try:
        yield
    except AWS_ERRORS as problem:
        error = api_error(problem)
        if error.is_everywhere:
            raise
        raise RegionUnavailable(described(problem), error) from problem


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Zones:
    """What is known of a region's zones beforehand; None for what is not known."""

    offering: Mapping[str, Sequence[str]] | None
    """The zones that offer each instance type."""
    with_default_subnet: frozenset[str] | None
    """Those in which EC2 starts an instance without being told a subnet."""

    def to_try(self, instance_type: str) -> list[str]:
        """Return the zones to ask for a type, one by one; none where nothing is known."""
        default = self.with_default_subnet
        if self.offering is None:
            return sorted(default or ())
        return [zone for zone in self.offering.get(instance_type, ()) if default is None or zone in default]

    def exclusion_reason(self, instance_type: str, region: str, zone: str | None) -> str | None:
        """Return why a type can't be started in a region, or in a zone of it; None where nothing is known against."""
        if self.offering is not None:
            if instance_type not in self.offering:
                return f"{instance_type} is not offered in {region}"
            if zone and zone not in self.offering[instance_type]:
                return f"{instance_type} is not offered in {zone}"
        if zone and self.with_default_subnet is not None and zone not in self.with_default_subnet:
            return f"{zone} has no default subnet"
        return None


def zones_of(ec2: EC2Client, types: Sequence[str], unknown: Callable[[AwsError], None]) -> Zones:
    """Return what the client's region says of its zones; `unknown` hears of what it does not say."""
    return Zones(
        known(lambda: zones_by_instance_type(ec2, types), unknown),
        known(lambda: zones_with_default_subnet(ec2), unknown),
    )


def zones_in_time(session: Session, region: str, types: Sequence[str]) -> Zones:
    """Return what a region says of its zones within the time that one region is given; warns of what it does not."""

    def unknown(problem: AwsError) -> None:
        warn(f"which zones to try is known in part: {described(problem)}")

    def in_time(ask: Callable[[], T]) -> T | None:
        try:
            return session.query_one(lambda: known(ask, unknown))
        except NoResponse as silent:
            warn(f"which zones to try is known in part: {region}: {silent}")
            return None

    ec2 = session.cloud.ec2(region)
    # Both at the same time: every region has refused by now, and others look for capacity too.
    default = session.threads.submit(in_time, lambda: zones_with_default_subnet(ec2))
    return Zones(in_time(lambda: zones_by_instance_type(ec2, types)), default.result())


def known(ask: Callable[[], T], unknown: Callable[[AwsError], None]) -> T | None:
    """Return what a call that only helps brings; None, and `unknown` hears why, where it fails."""
    try:
        return ask()
    except AWS_ERRORS as problem:
        unknown(problem)
        return None


def zones_by_instance_type(ec2: EC2Client, types: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Return, for each type that the client's region offers, the zones that do."""
    zones: dict[str, list[str]] = {}
    wanted: Any = [{"Name": "instance-type", "Values": list(types)}]
    pages = ec2.get_paginator("describe_instance_type_offerings")
    for page in pages.paginate(LocationType="availability-zone", Filters=wanted):
        for offer in page["InstanceTypeOfferings"]:
            zones.setdefault(offer["InstanceType"], []).append(offer["Location"])
    return {instance_type: sorted(offered) for instance_type, offered in zones.items()}


def zones_with_default_subnet(ec2: EC2Client) -> frozenset[str]:
    """Return the zones in which EC2 starts an instance without being told a subnet."""
    pages = ec2.get_paginator("describe_subnets").paginate(Filters=[{"Name": "default-for-az", "Values": ["true"]}])
    return frozenset(subnet["AvailabilityZone"] for page in pages for subnet in page["Subnets"])
