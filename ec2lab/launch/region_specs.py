"""What a launch needs in each region: the sum of all parts' fragments, computed in threads and cached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from ec2lab import clock
from ec2lab.aws.error_codes import ApiError
from ec2lab.aws.errors import AWS_ERRORS, AwsError, RegionUnavailable, api_error, described
from ec2lab.aws.region_queries import TICK, NoResponse
from ec2lab.config.models import Experiment
from ec2lab.console import warn
from ec2lab.errors import UserError
from ec2lab.launch.part import LaunchContext, LaunchFragment, launch_parts, total
from ec2lab.launch.shared_by_launches import SharedByLaunches
from ec2lab.session import Session
from ec2lab.templates import environment
from ec2lab.validators import did_you_mean

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

WARMUP_DELAY = 0.03
"""Seconds that the pending call gets to be sent first, because creating a client keeps Python busy for 30 ms."""


class RegionSpecs:
    def __init__(self, session: Session, name: str, experiment: Experiment) -> None:
        self._session = session
        self._site: Callable[[str], LaunchContext] = lambda region: LaunchContext(session, name, experiment, region)
        self._parts = launch_parts(session.plugins)
        self._fragments: dict[str, list[Future[LaunchFragment]]] = {}
        self._ready: dict[str, LaunchFragment] = {}
        self._warm: set[str] = set()

    def prefetch(self, regions: Iterable[str]) -> None:
        """Start to query regions, all parts in parallel, without waiting for the responses."""
        for region in regions:
            if region not in self._fragments:
                site = self._site(region)
                self._fragments[region] = [self._session.threads.submit(part.share, site) for part in self._parts]

    def forget(self, region: str) -> None:
        """Query a region again on its next use, because its response may be outdated."""
        self._fragments.pop(region, None)

    def warm_up(self, regions: Iterable[str]) -> None:
        """Create the clients of regions in a thread while a call to another region is pending. Sends nothing."""
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
        """Return a region's fragment, its prerequisites not yet created. Raises RegionUnavailable or UserError."""
        self.prefetch([region])
        # While the responses are pending, prepare what the request needs.
        environment()
        self._session.cloud.ec2_no_retry(region)
        with _of_one_region():
            return total(self._in_time(region))

    def _in_time(self, region: str) -> Iterator[LaunchFragment]:
        """Yield the parts' fragments. Raises RegionUnavailable after region_timeout for each of three calls."""
        with suppress(UserError):  # entering an MFA code may take longer; each query reports other problems
            self._session.cloud.expect_credentials()
        left = 3 * self._session.queries.timeout
        for fragment in self._fragments[region]:
            while not fragment.done() and left > 0:
                left -= clock.wait_for([fragment], min(TICK, left))
            if not fragment.done():
                self._session.queries.has_given_up = True
                timeout = ApiError("NoResponse", "")
                raise RegionUnavailable(f"no response within {3 * self._session.queries.timeout:g} s", timeout)
            yield fragment.result()

    def ready(self, region: str) -> LaunchFragment:
        """Return a region's fragment, its prerequisites created. Raises RegionUnavailable or UserError."""
        if region not in self._ready:
            share = self.plain(region)
            if share.prerequisites:
                shared = self._session.once(SharedByLaunches)
                with shared.preparing, _of_one_region():
                    if region in shared.prepared:  # by another launch, while this one waited
                        del self._fragments[region]
                        share = self.plain(region)
                    self._ready[region] = share.prepared()
                    shared.prepared.add(region)
            else:
                self._ready[region] = share
        return self._ready[region]


@contextmanager
def _of_one_region() -> Iterator[None]:
    """Convert an error of this region to RegionUnavailable, unless every region would certainly return it.

    Whether an error is specific to the region shows only in other regions: a policy or an opt-in may concern this one
    alone.
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
    """What is known about a region's zones; None for what is unknown."""

    offering: Mapping[str, Sequence[str]] | None  # by instance type, the zones that offer it
    with_default_subnet: frozenset[str] | None
    """The zones in which EC2 launches an instance without a subnet in the request."""
    meant: Mapping[str, str] = field(default_factory=dict)  # by a type that EC2 has nowhere, which one may be meant

    def to_try(self, instance_type: str) -> list[str]:
        """Return the zones to try one by one for a type; an empty list if nothing is known."""
        default = self.with_default_subnet
        if self.offering is None:
            return sorted(default or ())
        return [zone for zone in self.offering.get(instance_type, ()) if default is None or zone in default]

    def exclusion_reason(self, instance_type: str, region: str, zone: str | None) -> str | None:
        """Return why a type cannot be launched in a region or zone; None if no reason is known."""
        if self.offering is not None:
            if instance_type not in self.offering:
                return f"{instance_type} is not offered in {region}{self.meant.get(instance_type, '')}"
            if zone and zone not in self.offering[instance_type]:
                return f"{instance_type} is not offered in {zone}"
        if zone and self.with_default_subnet is not None and zone not in self.with_default_subnet:
            return f"{zone} has no default subnet"
        return None


def zones_of(ec2: EC2Client, types: Sequence[str], unknown: Callable[[AwsError], None]) -> Zones:
    """Return the zones of the client's region; `unknown` is called with each error."""
    return Zones(
        known(lambda: zones_by_instance_type(ec2, types), unknown),
        known(lambda: zones_with_default_subnet(ec2), unknown),
        misspelled_types(ec2, types),
    )


def zones_in_time(session: Session, region: str, types: Sequence[str]) -> Zones:
    """Return a region's zones within region_timeout; warns about what is missing."""

    def unknown(problem: AwsError) -> None:
        warn(f"the list of zones to try is incomplete: {described(problem)}")

    def in_time(ask: Callable[[], T]) -> T | None:
        try:
            return session.queries.run_one(lambda: known(ask, unknown))
        except NoResponse as silent:
            warn(f"the list of zones to try is incomplete: {region}: {silent}")
            return None

    ec2 = session.cloud.ec2(region)
    # In parallel: every region has already reported insufficient capacity, and others search too.
    default = session.threads.submit(in_time, lambda: zones_with_default_subnet(ec2))
    offering = in_time(lambda: zones_by_instance_type(ec2, types))
    return Zones(offering, default.result(), misspelled_types(ec2, types))


def misspelled_types(ec2: EC2Client, types: Iterable[str]) -> dict[str, str]:
    """Return ` (did you mean "…"?)` for each type that is not in the EC2 API's own list, which knows no newer ones."""
    every: Any = ec2.meta.service_model.shape_for("InstanceType")
    return {one: did_you_mean(one, every.enum) for one in types if one not in every.enum}


def known(ask: Callable[[], T], unknown: Callable[[AwsError], None]) -> T | None:
    """Return the result of an optional call; None if it fails, after calling `unknown` with the error."""
    try:
        return ask()
    except AWS_ERRORS as problem:
        unknown(problem)
        return None


def zones_by_instance_type(ec2: EC2Client, types: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Return, for each type that the client's region offers, the zones that offer it."""
    zones: dict[str, list[str]] = {}
    wanted: Any = [{"Name": "instance-type", "Values": list(types)}]
    pages = ec2.get_paginator("describe_instance_type_offerings")
    for page in pages.paginate(LocationType="availability-zone", Filters=wanted):
        for offer in page["InstanceTypeOfferings"]:
            zones.setdefault(offer["InstanceType"], []).append(offer["Location"])
    return {instance_type: sorted(offered) for instance_type, offered in zones.items()}


def zones_with_default_subnet(ec2: EC2Client) -> frozenset[str]:
    pages = ec2.get_paginator("describe_subnets").paginate(Filters=[{"Name": "default-for-az", "Values": ["true"]}])
    return frozenset(subnet["AvailabilityZone"] for page in pages for subnet in page["Subnets"])
