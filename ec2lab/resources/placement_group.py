"""A placement group: where instances that talk to each other stand side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ec2lab.aws.cloud import Cloud
from ec2lab.instance_state import InstanceState, state_of
from ec2lab.registry.instance_timeline import instances_in
from ec2lab.resource import Resource, ResourceType

if TYPE_CHECKING:
    from ec2lab.registry.call import Call


class PlacementGroup(ResourceType):
    """A placement group, known by its name as AWS itself knows it."""

    name = "placement-group"
    tag_type = "placement-group"
    created_by = ("CreatePlacementGroup",)
    deleted_by = "DeletePlacementGroup"
    deleted_with = "GroupName"
    id_filter = "group-name"
    deleted_after = ("instance",)
    not_found_codes = ("InvalidPlacementGroup.Unknown",)
    dependency_codes = ("InvalidPlacementGroup.InUse",)

    def created_in(self, response: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        """Return the group of a CreatePlacementGroup answer."""
        return [response["PlacementGroup"]]

    def id_in(self, found: Mapping[str, Any]) -> str:
        """Return the group's name."""
        return str(found["GroupName"])

    def is_deleted(self, found: Mapping[str, Any]) -> bool:
        """Say whether it is listed although it is deleted."""
        return found.get("State") == "deleted"

    def is_deleting(self, resource: Resource) -> bool:
        """Say whether it is being deleted."""
        return resource.state == "deleting"

    def confirms(self, found: Mapping[str, Any], call: Call) -> bool:
        """Say whether it has the name that was asked for, which no other can have."""
        return bool(found["GroupName"] == call.request.get("GroupName"))

    def find(self, cloud: Cloud, region: str, filters: Sequence[Any]) -> Iterable[Mapping[str, Any]]:
        """Describe the groups that match; AWS gives no pages of them."""
        return cloud.ec2(region).describe_placement_groups(Filters=list(filters))["PlacementGroups"]

    def held_by(self, cloud: Cloud, resource: Resource) -> Iterable[str]:
        """Return the instances that are in it."""
        wanted: Any = [{"Name": "placement-group-name", "Values": [resource.id]}]
        for page in cloud.ec2(resource.region).get_paginator("describe_instances").paginate(Filters=wanted):
            for instance in instances_in(page):
                if (state := state_of(instance)) is not InstanceState.TERMINATED:
                    yield f"instance {instance['InstanceId']} ({state})"

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        """Delete it; no instance may be in it, not even one that shuts down."""
        cloud.ec2(resource.region).delete_placement_group(GroupName=resource.id)
