"""Placement groups: they place communicating instances close together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ec2lab.aws.cloud import Cloud
from ec2lab.instance_state import InstanceState, state_of
from ec2lab.registry.instance_timeline import instances_in
from ec2lab.resource import Resource, ResourceType


class PlacementGroup(ResourceType):
    """A placement group, identified by its name as in EC2."""

    name = "placement-group"
    tag_type = "placement-group"
    created_by = ("CreatePlacementGroup",)
    created_member = "PlacementGroup"
    unique_name = "GroupName"
    deleted_by = "DeletePlacementGroup"
    deleted_with = "GroupName"
    id_filter = "group-name"
    deleted_after = ("instance",)
    not_found_codes = ("InvalidPlacementGroup.Unknown",)
    dependency_codes = ("InvalidPlacementGroup.InUse",)

    def is_deleted(self, found: Mapping[str, Any]) -> bool:
        return found.get("State") == "deleted"

    def is_deleting(self, resource: Resource) -> bool:
        return resource.state == "deleting"

    def find(self, cloud: Cloud, region: str, filters: Sequence[Any]) -> Iterable[Mapping[str, Any]]:
        """Describe the groups that match; the operation has no pagination."""
        return cloud.ec2(region).describe_placement_groups(Filters=list(filters))["PlacementGroups"]

    def held_by(self, cloud: Cloud, resource: Resource) -> Iterable[str]:
        wanted: Any = [{"Name": "placement-group-name", "Values": [resource.id]}]
        for page in cloud.ec2(resource.region).get_paginator("describe_instances").paginate(Filters=wanted):
            for instance in instances_in(page):
                if (state := state_of(instance)) is not InstanceState.TERMINATED:
                    yield f"instance {instance['InstanceId']} ({state})"
