"""What helps where capacity is exhausted: each sort of refusal, and what the user can do about it."""

from __future__ import annotations

from ec2lab.aws.error_codes import ApiError, ErrorCategory
from ec2lab.capacity_pools import Pool, quota_name
from ec2lab.events.launch import CapacityExhausted, Rejection
from ec2lab.launch.search import Search
from ec2lab.printable import shortened


def exhausted_event(search: Search, experiment: str) -> CapacityExhausted:
    """Return a search that found too little as an event: each pool with its last response, and what would help."""
    rejections = [
        Rejection(
            region=pool.region, zone=pool.zone, subnet=pool.subnet, instance_type=pool.instance_type,
            market=str(pool.market), code=error.code, category=error.category.name, explanation=str(error),
        )
        for pool, error in search.refusals.items()
    ]  # fmt: skip
    return CapacityExhausted(
        experiment=experiment, rejections=rejections, exclusions=list(search.ruled_out.values()),
        advice=advice(search, experiment),
    )  # fmt: skip


EBS_QUOTAS = {
    "VolumeLimitExceeded": 'EBS storage ("Storage for … volumes, in TiB")',
    "MaxIOPSLimitExceeded": 'EBS "IOPS for Provisioned IOPS SSD … volumes"',
    "SnapshotLimitExceeded": 'EBS "Snapshots per Region"',
}
"""By https://docs.aws.amazon.com/general/latest/gr/ebs-service.html."""
NETWORK_QUOTAS = {
    "AddressLimitExceeded": '"EC2-VPC Elastic IPs" (Amazon EC2); releasing an address that nothing uses frees one',
    "NetworkInterfaceLimitExceeded": '"Network interfaces per Region" (Amazon VPC); '
    "deleting interfaces in state `available` frees some",
    "SecurityGroupLimitExceeded": '"VPC security groups per Region" (Amazon VPC); deleting unused groups frees some',
    "RulesPerSecurityGroupLimitExceeded": '"Inbound or outbound rules per security group" (Amazon VPC); '
    "deleting rules of addresses that nobody has any more frees some",
}
"""By https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html, and what else helps."""


def advice(search: Search, experiment: str) -> list[str]:
    """Return what the user can do about each sort of refusal, once each."""
    lines = [line for pool, error in search.refusals.items() if (line := _about(search, pool, error))]
    if any(error.category is ErrorCategory.INSUFFICIENT_CAPACITY for error in search.refusals.values()):
        lines.append(
            f"let experiments/{experiment}.toml take more types, markets or regions, "
            'or go on asking for longer (capacity_timeout = "6h")'
        )
    return list(dict.fromkeys(lines))


def _about(search: Search, pool: Pool, error: ApiError) -> str | None:
    code, said = error.code.removeprefix("Client."), None
    match error.category:
        case ErrorCategory.COMPUTE_QUOTA if name := quota_name(pool.instance_type, pool.market.type):
            said = f"ask AWS for a higher quota: {name}, in {pool.region} (Service Quotas, Amazon EC2)"
        case ErrorCategory.COMPUTE_QUOTA:
            said = f"ask AWS for a higher quota for {pool.instance_type}, {pool.market}, in {pool.region}"
        case ErrorCategory.STORAGE_QUOTA:
            said = f"ask AWS for a higher quota: {EBS_QUOTAS[code]}, in {pool.region} (Service Quotas, Amazon EBS)"
        case ErrorCategory.NETWORK_QUOTA:
            said = f"ask AWS for a higher quota in {pool.region}: {NETWORK_QUOTAS[code]}"
        case ErrorCategory.NOT_OFFERED if (pool.region, pool.instance_type) in search.unoffered:
            said = f"leave {pool.instance_type} out, or add a region that offers it: {pool.region} does not"
        case ErrorCategory.NOT_OFFERED:
            said = (
                f"{pool.region} refuses {pool.instance_type}, {pool.market}, as it is asked for "
                f"({shortened(' '.join(error.message.split()))}): see to the market, "
                "and to the image's architecture and boot mode"
            )
    return said
