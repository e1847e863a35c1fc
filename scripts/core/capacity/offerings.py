"""Which zones of a region offer which machine types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client


def zones_offering(ec2: EC2Client, types: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Return, for each type that the client's region offers, the zones that do."""
    zones: dict[str, list[str]] = {}
    wanted: Any = [{"Name": "instance-type", "Values": list(types)}]
    pages = ec2.get_paginator("describe_instance_type_offerings")
    for page in pages.paginate(LocationType="availability-zone", Filters=wanted):
        for offer in page["InstanceTypeOfferings"]:
            zones.setdefault(offer["InstanceType"], []).append(offer["Location"])
    return {instance_type: sorted(offered) for instance_type, offered in zones.items()}
