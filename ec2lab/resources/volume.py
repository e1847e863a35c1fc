"""A volume."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ec2lab.aws.cloud import Cloud
from ec2lab.aws.tags import RETAINED, from_aws
from ec2lab.registry.record import Record
from ec2lab.registry.storage_timeline import is_retention
from ec2lab.resource import Resource, ResourceType, as_text

if TYPE_CHECKING:
    from ec2lab.registry.call import Call


INSTANCE = "instance"


class Volume(ResourceType):
    """An EBS volume. One that RunInstances made goes with its instance, and is deleted here only if it did not."""

    name = "volume"
    tag_type = "volume"
    created_by = ("CreateVolume",)
    deleted_by = "DeleteVolume"
    deleted_with = "VolumeId"
    id_filter = "volume-id"
    deleted_after = ("instance",)
    not_found_codes = ("InvalidVolume.NotFound",)
    dependency_codes = ("VolumeInUse", "IncorrectState")

    def taggable_types(self, operation: str, request: Mapping[str, Any]) -> Iterable[str]:
        """Tag the volumes that come with an instance too."""
        return ("volume",) if operation == "RunInstances" else super().taggable_types(operation, request)

    def created_in(self, response: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        """Return the volume of a CreateVolume answer."""
        return [response]

    def id_in(self, found: Mapping[str, Any]) -> str:
        """Return the volume id."""
        return str(found["VolumeId"])

    def is_deleted(self, found: Mapping[str, Any]) -> bool:
        """Say whether it is deleted, or kept: then it is no experiment's any more."""
        return found.get("State") == "deleted" or RETAINED in from_aws(found.get("Tags"))

    def ended_by(self, record: Record) -> Iterator[str]:
        """Return also the volumes that are marked as kept."""
        yield from super().ended_by(record)
        if is_retention(record):
            yield from (record.request or {})["Resources"]

    def is_deleting(self, resource: Resource) -> bool:
        """Say whether it is being deleted, or waits for its instance to let go of it."""
        return resource.state in ("deleting", "in-use")

    def came_with(self, found: Mapping[str, Any], call: Call) -> bool:
        """Say whether it came with an instance: made at the time of the launch, and in no other instance since."""
        launched = {identity for resource_type, identity in call.made if resource_type == INSTANCE}
        attached = {attachment["InstanceId"] for attachment in found.get("Attachments", ())}
        asked_for = "volume" in self.taggable_types(call.operation, call.request)
        elsewhere = attached - launched if launched else set()
        return asked_for and not elsewhere and call.may_have_made(self.since_in(found))

    def since_in(self, found: Mapping[str, Any]) -> str:
        """Return when it was made."""
        return as_text(found.get("CreateTime"))

    def idle(self, found: Mapping[str, Any]) -> str:
        """Say that it is attached to nothing."""
        return "attached to nothing" if found["State"] == "available" else ""

    def details_in(self, found: Mapping[str, Any]) -> dict[str, str]:
        """Return size, zone and the snapshot it was made from."""
        details = {
            "size": f"{found.get('Size', '?')} GiB",
            "zone": str(found.get("AvailabilityZone", "")),
            "snapshot": str(found.get("SnapshotId", "")),
        }
        return {key: value for key, value in details.items() if value}

    def find(self, cloud: Cloud, region: str, filters: Sequence[Any]) -> Iterable[Mapping[str, Any]]:
        """Describe the volumes that match."""
        for page in cloud.ec2(region).get_paginator("describe_volumes").paginate(Filters=filters):
            yield from page["Volumes"]

    def held_by(self, cloud: Cloud, resource: Resource) -> Iterable[str]:
        """Return the instances that it is attached to."""
        for found in self.find(cloud, resource.region, [{"Name": self.id_filter, "Values": [resource.id]}]):
            for attachment in found.get("Attachments", ()):
                yield f"instance {attachment['InstanceId']} ({attachment['State']} as {attachment['Device']})"

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        """Delete it; it must not be attached."""
        cloud.ec2(resource.region).delete_volume(VolumeId=resource.id)
