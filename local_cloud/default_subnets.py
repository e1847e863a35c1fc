"""The subnet of an instance that names none: a default subnet, which not every zone has.

A zone that AWS opened after an account's default VPC was created has none there
(https://docs.aws.amazon.com/vpc/latest/userguide/default-subnet.html).
"""

from __future__ import annotations

from local_cloud.lifecycle import backend
from local_cloud.responses import Problem

OPENED_LATER = ("us-west-2d",)  # zones without a default subnet in a new cloud's account


def leave_out_zones(region: str) -> None:
    """Remove the default subnets of later zones from an unused region."""
    for zone, subnet in backend(region).get_default_subnets().items():
        if zone in OPENED_LATER:
            backend(region).delete_subnet(subnet.id)


def zones_for(region: str, zone: str | None, market: str) -> set[str]:
    """Return the zones from which EC2 picks one where none is named. Raises Problem where it refuses."""
    vpc = next((vpc for vpc in backend(region).vpcs.values() if vpc.is_default), None)
    if vpc is None:
        raise Problem("VPCIdNotSpecified", "No default VPC for this user. GroupName is only supported for EC2-Classic.")
    zones = set(backend(region).get_default_subnets())
    if not zones:
        raise Problem("MissingInput", f"No subnets found for the default VPC '{vpc.id}'. Please specify a subnet.")
    if zone and zone not in zones:
        code = "InvalidSubnetID.NotFound" if market == "spot" else "InvalidInput"
        raise Problem(code, f"No default subnet for availability zone: '{zone}'.")
    return zones
