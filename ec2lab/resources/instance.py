"""EC2 instances."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ec2lab.aws.cloud import Cloud
from ec2lab.aws.errors import ignoring
from ec2lab.aws.tags import DATA, from_aws
from ec2lab.instance_state import NO_REASON, InstanceState, StateReason, state_reason_of
from ec2lab.registry.evidence import Call
from ec2lab.registry.instance_timeline import instances_in
from ec2lab.registry.record import Record
from ec2lab.resource import Resource, ResourceType
from ec2lab.resources.expiry import expiry_details

UNKNOWN = "unknown"


class Instance(ResourceType):
    """An EC2 instance, with the volumes and the network interface of its launch."""

    name = "instance"
    tag_type = "instance"
    created_by = ("RunInstances",)
    created_member = "Instances"
    since_member = "LaunchTime"
    deleted_by = "TerminateInstances"
    deleted_with = "InstanceIds"
    id_filter = "instance-id"
    not_found_codes = ("InvalidInstanceID.NotFound",)
    dependency_codes = ("IncorrectInstanceState",)

    def taggable_types(self, operation: str, request: Mapping[str, Any]) -> Iterable[str]:
        """Tag the network interface too, and the spot request if there is one."""
        if operation in self.created_by:
            yield from ("instance", "network-interface")
            if request.get("InstanceMarketOptions", {}).get("MarketType") == "spot":
                yield "spot-instances-request"

    def ended_by(self, record: Record) -> Iterator[str]:
        """Include instances that a description shows as terminated."""
        yield from super().ended_by(record)
        if record.operation == "DescribeInstances" and record.response:
            yield from (self.id_in(found) for found in instances_in(record.response) if self.is_deleted(found))

    def id_in(self, found: Mapping[str, Any]) -> str:
        return str(found["InstanceId"])

    def state_in(self, found: Mapping[str, Any]) -> str:
        return str(found["State"]["Name"])

    def state_reason_in(self, found: Mapping[str, Any]) -> StateReason:
        """Return why it ended or stopped; for a pending one, what it waits for."""
        return NO_REASON if found["State"]["Name"] == InstanceState.PENDING else state_reason_of(found)

    def confirms(self, found: Mapping[str, Any], call: Call) -> bool:
        """Say whether AWS names the call's own client token: a copy has another, or none."""
        return found.get("ClientToken") == call.token

    def is_deleted(self, found: Mapping[str, Any]) -> bool:
        return bool(found["State"]["Name"] == InstanceState.TERMINATED)

    def is_deleting(self, resource: Resource) -> bool:
        return resource.state == InstanceState.SHUTTING_DOWN

    def details_in(self, found: Mapping[str, Any]) -> dict[str, str]:
        details = {
            "type": found.get("InstanceType"),
            "zone": found.get("Placement", {}).get("AvailabilityZone"),
            "market": found.get("InstanceLifecycle", "on-demand"),
            "address": found.get("PublicIpAddress") or found.get("PrivateIpAddress"),
            "data": from_aws(found.get("Tags")).get(DATA),
            "volumes": " ".join(m["Ebs"]["VolumeId"] for m in found.get("BlockDeviceMappings", ()) if "Ebs" in m),
        }
        return {key: value for key, value in {**details, **expiry_details(found)}.items() if value}

    def idle(self, found: Mapping[str, Any]) -> str:
        if found["State"]["Name"] != InstanceState.STOPPED:
            return ""
        when = re.search(r"\d{4}-\d\d-\d\d", found.get("StateTransitionReason", ""))
        return f"stopped since {when[0]}" if when else "stopped"

    def unknown_in(self, resource: Resource) -> Mapping[str, str]:
        return {"loaded": UNKNOWN} if "data" in resource.details else {}

    def extra_details(
        self, cloud: Cloud, region: str, resources: Sequence[Resource]
    ) -> Mapping[str, Mapping[str, str]]:
        """Return how much of each instance's volumes is loaded from their snapshots: the minimum."""
        volumes = {volume: r.id for r in resources for volume in r.details.get("volumes", "").split()}
        loaded: dict[str, int] = {}
        for volume, percent in _loaded(cloud, region, sorted(volumes)).items():
            instance = volumes[volume]
            loaded[instance] = min(percent, loaded.get(instance, percent))
        return {instance: {"loaded": f"{percent}%"} for instance, percent in loaded.items()}

    def find(self, cloud: Cloud, region: str, filters: Sequence[Any]) -> Iterable[Mapping[str, Any]]:
        for page in cloud.ec2(region).get_paginator("describe_instances").paginate(Filters=filters):
            yield from instances_in(page)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        cloud.ec2(resource.region).terminate_instances(InstanceIds=[resource.id])


def _loaded(cloud: Cloud, region: str, volumes: Sequence[str]) -> dict[str, int]:
    """Return the loaded percentage by volume; volumes created empty are left out."""
    if not volumes:
        return {}
    found = []
    with ignoring("InvalidVolume.NotFound"):  # one of them has just gone
        pages = cloud.ec2(region).get_paginator("describe_volume_status").paginate(VolumeIds=list(volumes))
        found = list(pages.search("VolumeStatuses[]"))
    details = {status["VolumeId"]: status.get("InitializationStatusDetails", {}) for status in found}
    return {volume: detail["Progress"] for volume, detail in details.items() if "Progress" in detail}
