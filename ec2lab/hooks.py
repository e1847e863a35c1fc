"""Every plugin interface on one page: what a plugin's functions are called, and what they return.

A plugin marks each by `ec2lab.plugins.hookimpl`. docs/plugins.md has an example of each.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from ec2lab.costs.pricer import Pricer
    from ec2lab.doctor.check import Check
    from ec2lab.launch.part import LaunchPart
    from ec2lab.plugins import PluginScript
    from ec2lab.registry.backends import RegistryBackend
    from ec2lab.resource import ResourceType
    from ec2lab.watch.notifier import Notifier

hookspec = pluggy.HookspecMarker("ec2_lab")


class Hooks:
    """What a plugin may add."""

    @hookspec
    def lab_resource_types(self) -> Iterable[ResourceType]:  # type: ignore[empty-body]
        """Return resource types that the lab shall show, tag and tear down."""

    @hookspec
    def lab_pricers(self) -> Iterable[Pricer]:  # type: ignore[empty-body]
        """Return what resources cost, each by the name of its resource type."""

    @hookspec
    def lab_launch_parts(self) -> Iterable[LaunchPart]:  # type: ignore[empty-body]
        """Return parts that add their share to every launch."""

    @hookspec
    def lab_registry_backends(self) -> Iterable[RegistryBackend]:  # type: ignore[empty-body]
        """Return places where a registry can be kept, each by the scheme of its address."""

    @hookspec
    def lab_checks(self) -> Iterable[Check]:  # type: ignore[empty-body]
        """Return what `make doctor` checks."""

    @hookspec
    def lab_notifiers(self) -> Iterable[Notifier]:  # type: ignore[empty-body]
        """Return what carries the news of a watched experiment to where people are."""

    @hookspec
    def lab_scripts(self) -> Iterable[PluginScript]:  # type: ignore[empty-body]
        """Return what `make script` runs."""
