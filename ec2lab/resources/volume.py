"""EBS volumes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ec2lab.aws.cloud import Cloud
from ec2lab.aws.tags import RETAINED, from_aws
from ec2lab.registry.evidence import Call
from ec2lab.registry.record import Record
from ec2lab.registry.storage_timeline import is_retention
from ec2lab.resource import Resource, ResourceType

INSTANCE = "instance"


class Volume(ResourceType):
    """An EBS volume. One that RunInstances created is deleted with its instance, and here only if it was not."""

    name = "volume"
    tag_type = "volume"
    created_by = ("CreateVolume",)
    since_member = "CreateTime"
    deleted_by = "DeleteVolume"
    deleted_with = "VolumeId"
    id_filter = "volume-id"
    deleted_after = ("instance",)
    not_found_codes = ("InvalidVolume.NotFound",)
    dependency_codes = ("VolumeInUse", "IncorrectState")

    def taggable_types(self, operation: str, request: Mapping[str, Any]) -> Iterable[str]:
        return ("volume",) if operation == "RunInstances" else super().taggable_types(operation, request)

    def is_deleted(self, found: Mapping[str, Any]) -> bool:
        """Say whether it is deleted, or retained: then it belongs to no experiment."""
        return found.get("State") == "deleted" or RETAINED in from_aws(found.get("Tags"))

    def ended_by(self, record: Record) -> Iterator[str]:
        yield from super().ended_by(record)
        if is_retention(record):
            yield from (record.request or {})["Resources"]

    def is_deleting(self, resource: Resource) -> bool:
        """Say whether it is being deleted, or is still attached to an instance."""
        return resource.state in ("deleting", "in-use")

    def came_with(self, found: Mapping[str, Any], call: Call) -> bool:
        """Say whether it came with an instance: created at launch, and attached to no other since."""
        launched = {identity for resource_type, identity in call.made if resource_type == INSTANCE}
        attached = {attachment["InstanceId"] for attachment in found.get("Attachments", ())}
        asked_for = "volume" in self.taggable_types(call.operation, call.request)
        elsewhere = attached - launched if launched else set()
        return asked_for and not elsewhere and call.may_have_made(self.since_in(found))

    def idle(self, found: Mapping[str, Any]) -> str:
        return "attached to nothing" if found["State"] == "available" else ""

    def details_in(self, found: Mapping[str, Any]) -> dict[str, str]:
        details = {
            "size": f"{found.get('Size', '?')} GiB",
            "zone": str(found.get("AvailabilityZone", "")),
            "snapshot": str(found.get("SnapshotId", "")),
        }
        return {key: value for key, value in details.items() if value}

    def find(self, cloud: Cloud, region: str, filters: Sequence[Any]) -> Iterable[Mapping[str, Any]]:
        return cloud.ec2(region).get_paginator("describe_volumes").paginate(Filters=filters).search("Volumes[]")

    def held_by(self, cloud: Cloud, resource: Resource) -> Iterable[str]:
        for found in self.find(cloud, resource.region, [{"Name": self.id_filter, "Values": [resource.id]}]):
            for attachment in found.get("Attachments", ()):
                yield f"instance {attachment['InstanceId']} ({attachment['State']} as {attachment['Device']})"
