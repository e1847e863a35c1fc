"""The built-in resource types, launch parts, registry backends and checks, registered like any plugin's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ec2lab.plugins import hookimpl
from ec2lab.registry.backends import DynamoDbBackend, File, RegistryBackend
from ec2lab.resource import ResourceType
from ec2lab.resources.elastic_ip import Address
from ec2lab.resources.instance import Instance
from ec2lab.resources.instance_profile import InstanceProfile
from ec2lab.resources.key_pair import KeyPair
from ec2lab.resources.placement_group import PlacementGroup
from ec2lab.resources.role import Role
from ec2lab.resources.security_group import SecurityGroup
from ec2lab.resources.snapshot import Snapshot
from ec2lab.resources.topic import Topic
from ec2lab.resources.volume import Volume

if TYPE_CHECKING:
    from ec2lab.costs.pricer import Pricer
    from ec2lab.doctor.check import Check
    from ec2lab.launch.part import LaunchPart


@hookimpl
def lab_resource_types() -> list[ResourceType]:
    return [
        Instance(), Volume(), Snapshot(), PlacementGroup(), SecurityGroup(), KeyPair(), Address(),
        InstanceProfile(), Role(), Topic(),
    ]  # fmt: skip


@hookimpl
def lab_pricers() -> list[Pricer]:
    from ec2lab.costs.pricers import AddressPricer, InstancePricer, SnapshotPricer, VolumePricer

    return [InstancePricer(), VolumePricer(), SnapshotPricer(), AddressPricer()]


@hookimpl
def lab_launch_parts() -> list[LaunchPart]:
    from ec2lab.launch.parts.auto_shutdown import Idle, TimeToLive
    from ec2lab.launch.parts.base_instance import Instance
    from ec2lab.launch.parts.cluster import Nodes
    from ec2lab.launch.parts.command import Command
    from ec2lab.launch.parts.image import InstanceImage
    from ec2lab.launch.parts.members import Members
    from ec2lab.launch.parts.network import LabNetwork
    from ec2lab.launch.parts.notifications import Notifications
    from ec2lab.launch.parts.volumes import Volumes

    return [
        Instance(), InstanceImage(), LabNetwork(), Nodes(), Volumes(), TimeToLive(), Idle(), Members(), Notifications(),
        Command(),
    ]  # fmt: skip


@hookimpl
def lab_registry_backends() -> list[RegistryBackend]:
    return [File(), DynamoDbBackend()]


@hookimpl
def lab_checks() -> list[Check]:
    from ec2lab.doctor.checks.account import Credentials, Quotas, Regions, Tags
    from ec2lab.doctor.checks.computer import Clock, Files, Versions
    from ec2lab.doctor.checks.data import ArtifactBuckets, Datasets, RetainedVolumes
    from ec2lab.doctor.checks.permissions import Permissions
    from ec2lab.doctor.checks.registry import RegistryHealth
    from ec2lab.doctor.checks.ssh import Address as CallersAddress
    from ec2lab.doctor.checks.ssh import Ssh

    return [
        Files(), Versions(), Ssh(), Credentials(), Clock(), Permissions(), Regions(), Datasets(), ArtifactBuckets(),
        Quotas(), CallersAddress(), RetainedVolumes(), Tags(), RegistryHealth(),
    ]  # fmt: skip
