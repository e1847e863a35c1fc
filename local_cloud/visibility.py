"""Eventual consistency: a new resource is for a while not described, and not known to other calls.

AWS promises no order: a volume may be described before its instance, and a described resource may be unknown to the
next call (https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html). So each new resource draws two
durations, one for descriptions and one for all other calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from local_cloud import clock
from local_cloud.lifecycle import backend
from local_cloud.placement_groups import PlacementGroups
from local_cloud.request import Call
from local_cloud.responses import Answer, Problem
from local_cloud.scenario import Scenario

UNKNOWN = {  # by resource type, the error of a call that names one too early
    "instance": ("InvalidInstanceID.NotFound", "The instance ID '{}' does not exist"),
    "volume": ("InvalidVolume.NotFound", "The volume '{}' does not exist."),
    "snapshot": ("InvalidSnapshot.NotFound", "The snapshot '{}' does not exist."),
    "security-group": ("InvalidGroup.NotFound", "The security group '{}' does not exist"),
    "placement-group": ("InvalidPlacementGroup.Unknown", "The Placement Group '{}' is unknown."),
    "network-interface": ("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '{}' does not exist"),
    "address": ("InvalidAllocationID.NotFound", "The allocation ID '{}' does not exist"),
    "key-pair": ("InvalidKeyPair.NotFound", "The key pair '{}' does not exist"),
}
IN_EC2 = "instance-profile-in-ec2"  # IAM knows a profile for a while before EC2 does
UNKNOWN_TO = {
    ("ec2", IN_EC2): (
        "InvalidParameterValue",
        "Value ({}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
    ),
    ("iam", "instance-profile"): ("NoSuchEntity", "Instance Profile {} cannot be found."),
    ("iam", "role"): ("NoSuchEntity", "The role with name {} cannot be found."),
    ("dynamodb", "table"): ("ResourceNotFoundException", "Requested resource not found"),
    ("ebs", "snapshot"): ("ResourceNotFoundException", "The snapshot '{}' does not exist."),
}
"""By service and resource type, where the service has an error of its own, or only one service has the type."""
EVERYWHERE = ("instance-profile", "role", IN_EC2)  # types without a region
LOOKING = ("Describe", "Get", "List")

MADE_BY = {  # by operation, the resource type and where its response has the id; RunInstances creates several
    "CreateVolume": ("volume", rb"<volumeId>(vol-[0-9a-f]+)<"),
    "CreateSnapshot": ("snapshot", rb"<snapshotId>(snap-[0-9a-f]+)<"),
    "CopySnapshot": ("snapshot", rb"<snapshotId>(snap-[0-9a-f]+)<"),
    "CreateSecurityGroup": ("security-group", rb"<groupId>(sg-[0-9a-f]+)<"),
    "CreatePlacementGroup": ("placement-group", rb"<groupName>([^<]+)<"),
    "CreateTable": ("table", rb'"TableName": ?"([^"]+)"'),
    "CreateRole": ("role", rb"<RoleName>([^<]+)<"),
    "CreateInstanceProfile": ("instance-profile", rb"<InstanceProfileName>([^<]+)<"),
    "StartSnapshot": ("snapshot", rb'"SnapshotId": "(snap-[0-9a-f]+)"'),
    "AllocateAddress": ("address", rb"<allocationId>(eipalloc-[0-9a-f]+)<"),
    "CreateKeyPair": ("key-pair", rb"<keyPairId>(key-[0-9a-f]+)<"),
    "ImportKeyPair": ("key-pair", rb"<keyPairId>(key-[0-9a-f]+)<"),
}


@dataclass(frozen=True, slots=True)
class Young:
    """A new resource; until when, by the monotonic clock, it is not described, and not known to other calls."""

    region: str
    kind: str
    id: str
    described: float
    known: float


@dataclass
class Visibility:
    chance: Random = field(default_factory=lambda: Random(0))  # noqa: S311 - decides what a test meets
    _young: list[Young] = field(default_factory=list)

    def made(self, call: Call, answer: Answer, scenario: Scenario) -> None:
        if call.action in MADE_BY:
            kind, where = MADE_BY[call.action]
            for identity in dict.fromkeys(re.findall(where, answer.body)):
                self.hide(call.region, kind, identity.decode(), scenario)
                if kind == "instance-profile":
                    self.hide(call.region, IN_EC2, identity.decode(), scenario)

    def made_with(self, region: str, instance: Any, scenario: Scenario) -> None:
        """Note a new instance with its volumes and network interfaces, each on its own."""
        self.hide(region, "instance", instance.id, scenario)
        for device in instance.block_device_mapping.values():
            if device.volume_id:
                self.hide(region, "volume", device.volume_id, scenario)
        for interface in instance.nics.values():
            self.hide(region, "network-interface", interface.id, scenario)

    def hide(self, region: str, kind: str, identity: str, scenario: Scenario) -> None:
        """Hide a new resource for the durations that it draws."""
        shortest, longest = scenario.invisible_for(kind)
        now, unknown = clock.monotonic(), scenario.unknown_for(kind)
        described, known = (now + self.chance.uniform(shortest, longest) for _ in range(2))
        if longest or unknown:
            place = "" if kind in EVERYWHERE else region
            self._young.append(Young(place, kind, identity, described, max(known, now + unknown)))

    def check(self, call: Call) -> None:
        if not self._young or call.action.startswith(LOOKING if call.service != "ec2" else "Describe"):
            return
        self._forget_the_old()
        named = {value for key, value in call.params.items() if not key.startswith("Tag")}
        named.update(call.environ["PATH_INFO"].split("/") if call.service == "ebs" else ())
        named.update(call.shown().values() if call.service == "dynamodb" else ())
        for young in self._young:
            if young.region in ("", call.region) and young.id in named and young.known > clock.monotonic():
                found = UNKNOWN_TO.get((call.service, young.kind)) or UNKNOWN.get(young.kind)
                if found:
                    raise Problem(found[0], found[1].format(young.id))

    @contextmanager
    def hidden(self, region: str, placement_groups: PlacementGroups) -> Iterator[None]:
        """Remove hidden resources from the stores while a description is answered."""
        now = clock.monotonic()
        self._forget_the_old()
        young = {young.id for young in self._young if young.region == region and young.described > now}
        if not young:
            yield
            return
        store, groups = backend(region), placement_groups.groups
        before = {name: getattr(store, name) for name in STORES}
        for name, content in before.items():
            setattr(store, name, _without(young, content))
        placement_groups.groups = {key: one for key, one in groups.items() if key[0] != region or key[1] not in young}
        try:
            yield
        finally:
            for name, content in before.items():
                setattr(store, name, content)
            placement_groups.groups = groups

    def _forget_the_old(self) -> None:
        now = clock.monotonic()
        self._young = [young for young in self._young if max(young.described, young.known) > now]


STORES = ("reservations", "volumes", "snapshots", "groups", "enis", "addresses", "key_pairs")
"""moto's, by id or by name; security groups are a level deeper, by VPC."""


def _without(young: set[str], content: Any) -> Any:
    if isinstance(content, list):
        return [item for item in content if not young & _names(item)]
    return {
        key: _without(young, item) if isinstance(item, dict) else item
        for key, item in content.items()
        if key not in young and not young & _names(item)
    }


def _names(item: Any) -> set[str]:
    """Return the ids by which an item may be hidden; a reservation by any of its instances."""
    own = {getattr(item, name, "") for name in ("id", "allocation_id")}
    return own | {instance.id for instance in getattr(item, "instances", ())}
