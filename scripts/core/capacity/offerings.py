"""In which zones of a region each instance type can be started."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

Failure = ClientError | BotoCoreError | ResponseParserError
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

    def reason_against(self, instance_type: str, region: str, zone: str | None) -> str | None:
        """Return why a type can't be started in a region, or in a zone of it; None where nothing is known against."""
        if self.offering is not None:
            if instance_type not in self.offering:
                return f"{instance_type} is not offered in {region}"
            if zone and zone not in self.offering[instance_type]:
                return f"{instance_type} is not offered in {zone}"
        if zone and self.with_default_subnet is not None and zone not in self.with_default_subnet:
            return f"{zone} has no default subnet"
        return None


def zones_of(ec2: EC2Client, types: Sequence[str], unknown: Callable[[Failure], None]) -> Zones:
    """Return what the client's region says of its zones; `unknown` hears of what it does not say."""
    return Zones(
        known(lambda: zones_offering(ec2, types), unknown), known(lambda: zones_with_default_subnet(ec2), unknown)
    )


def known(ask: Callable[[], T], unknown: Callable[[Failure], None]) -> T | None:
    """Return what a call that only helps brings; None, and `unknown` hears why, where it fails."""
    try:
        return ask()
    except (ClientError, BotoCoreError, ResponseParserError) as problem:
        unknown(problem)
        return None


def zones_offering(ec2: EC2Client, types: Sequence[str]) -> Mapping[str, Sequence[str]]:
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
