"""Elastic IP addresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ec2lab.aws.cloud import Cloud
from ec2lab.resource import ResourceType


class Address(ResourceType):
    """An Elastic IP address, billed until released (an instance's ephemeral address comes and goes with it)."""

    name = "address"
    tag_type = "elastic-ip"
    created_by = ("AllocateAddress",)
    deleted_by = "ReleaseAddress"
    deleted_with = "AllocationId"
    id_filter = "allocation-id"
    deleted_after = ("instance",)
    not_found_codes = ("InvalidAllocationID.NotFound",)
    dependency_codes = ("InvalidIPAddress.InUse",)

    def state_in(self, found: Mapping[str, Any]) -> str:
        return "in-use" if found.get("AssociationId") else "available"

    def details_in(self, found: Mapping[str, Any]) -> dict[str, str]:
        return {"address": str(found.get("PublicIp", ""))}

    def idle(self, found: Mapping[str, Any]) -> str:
        return "" if found.get("AssociationId") else "not in use"

    def find(self, cloud: Cloud, region: str, filters: Sequence[Any]) -> Iterable[Mapping[str, Any]]:
        return list(cloud.ec2(region).describe_addresses(Filters=filters)["Addresses"])
