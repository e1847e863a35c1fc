"""Security groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ec2lab.aws.cloud import Cloud
from ec2lab.resource import Resource, ResourceType


class SecurityGroup(ResourceType):
    """A security group. The region's own belongs to the lab and stays; an experiment's is deleted with it."""

    name = "security-group"
    tag_type = "security-group"
    created_by = ("CreateSecurityGroup",)
    unique_name = "GroupName"
    deleted_by = "DeleteSecurityGroup"
    deleted_with = "GroupId"
    id_filter = "group-id"
    deleted_after = ("instance",)
    not_found_codes = ("InvalidGroup.NotFound", "InvalidGroupId.NotFound")
    dependency_codes = ("DependencyViolation", "InvalidGroup.InUse")

    def find(self, cloud: Cloud, region: str, filters: Sequence[Any]) -> Iterable[Mapping[str, Any]]:
        ec2 = cloud.ec2(region)
        return ec2.get_paginator("describe_security_groups").paginate(Filters=filters).search("SecurityGroups[]")

    def held_by(self, cloud: Cloud, resource: Resource) -> Iterable[str]:
        ec2, wanted = cloud.ec2(resource.region), [resource.id]
        pages = ec2.get_paginator("describe_network_interfaces").paginate(
            Filters=[{"Name": "group-id", "Values": wanted}]
        )
        for interface in pages.search("NetworkInterfaces[]"):
            holder = interface.get("Attachment", {}).get("InstanceId") or interface.get("Description", "")
            yield f"network interface {interface['NetworkInterfaceId']}{f' of {holder}' if holder else ''}"
        for name in ("ip-permission.group-id", "egress.ip-permission.group-id"):
            for group in self.find(cloud, resource.region, [{"Name": name, "Values": wanted}]):
                if group["GroupId"] != resource.id:
                    yield f"a rule of security group {group['GroupId']}"
