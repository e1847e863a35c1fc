"""The kinds, launch parts, registries and checks that come with the lab, registered as any plugin registers its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.core.kind import Kind
from scripts.core.plugins import hookimpl
from scripts.core.registry_backend import RegistryBackend
from scripts.kinds.address import Address
from scripts.kinds.instance import Instance
from scripts.kinds.instance_profile import InstanceProfile
from scripts.kinds.key_pair import KeyPair
from scripts.kinds.placement_group import PlacementGroup
from scripts.kinds.role import Role
from scripts.kinds.security_group import SecurityGroup
from scripts.kinds.snapshot import Snapshot
from scripts.kinds.volume import Volume
from scripts.registries.backends import DynamoDb, File

if TYPE_CHECKING:
    from scripts.core.check import Check
    from scripts.core.launch_part import LaunchPart


@hookimpl
def lab_kinds() -> list[Kind]:
    """Return the built-in kinds."""
    return [
        Instance(), Volume(), Snapshot(), PlacementGroup(), SecurityGroup(), KeyPair(), Address(),
        InstanceProfile(), Role(),
    ]  # fmt: skip


@hookimpl
def lab_launch_parts() -> list[LaunchPart]:
    """Return the built-in launch parts, which launches alone load."""
    from scripts.parts.command import Command
    from scripts.parts.idle import Idle
    from scripts.parts.image import MachineImage
    from scripts.parts.machine import Machine
    from scripts.parts.members import Members
    from scripts.parts.network import LabNetwork
    from scripts.parts.nodes import Nodes
    from scripts.parts.time_to_live import TimeToLive
    from scripts.parts.volumes import Volumes

    return [Machine(), MachineImage(), LabNetwork(), Nodes(), Volumes(), TimeToLive(), Idle(), Members(), Command()]


@hookimpl
def lab_registry_backends() -> list[RegistryBackend]:
    """Return the built-in places for a registry."""
    return [File(), DynamoDb()]


@hookimpl
def lab_checks() -> list[Check]:
    """Return the built-in checks of `make doctor`, which alone loads them."""
    from scripts.checks.address import Address as CallersAddress
    from scripts.checks.clock import Clock
    from scripts.checks.credentials import Credentials
    from scripts.checks.data import DataSets
    from scripts.checks.files import Files
    from scripts.checks.kept import KeptVolumes
    from scripts.checks.permissions import Permissions
    from scripts.checks.quotas import Quotas
    from scripts.checks.regions import Regions
    from scripts.checks.registry import RegistryHealth
    from scripts.checks.ssh import Ssh
    from scripts.checks.tags import Tags
    from scripts.checks.versions import Versions

    return [
        Files(), Versions(), Ssh(), Credentials(), Clock(), Permissions(), Regions(), DataSets(), Quotas(),
        CallersAddress(), KeptVolumes(), Tags(), RegistryHealth(),
    ]  # fmt: skip
