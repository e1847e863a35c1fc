"""Every plugin interface on one page: what a plugin's functions are called, and of which class what they return is.

A plugin marks each by `ec2lab.plugins.hookimpl`. docs/plugins.md has an example of each. The classes are in the layers
that use them, so they are named here without being imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pluggy

PROJECT = "ec2_lab"

hookspec = pluggy.HookspecMarker(PROJECT)


class Hooks:
    @hookspec
    def lab_resource_types(self) -> Iterable[Any]:  # type: ignore[empty-body]
        """Return resource types to show, tag and tear down: `ec2lab.resource.ResourceType`."""

    @hookspec
    def lab_pricers(self) -> Iterable[Any]:  # type: ignore[empty-body]
        """Return what resources cost, each by the name of its resource type: `ec2lab.costs.pricer.Pricer`."""

    @hookspec
    def lab_launch_parts(self) -> Iterable[Any]:  # type: ignore[empty-body]
        """Return parts that add a fragment to every launch: `ec2lab.launch.part.LaunchPart`."""

    @hookspec
    def lab_registry_backends(self) -> Iterable[Any]:  # type: ignore[empty-body]
        """Return stores of registries, by the scheme of their address: `ec2lab.registry.backends.RegistryBackend`."""

    @hookspec
    def lab_checks(self) -> Iterable[Any]:  # type: ignore[empty-body]
        """Return what `make doctor` checks: `ec2lab.doctor.check.Check`."""

    @hookspec
    def lab_notifiers(self) -> Iterable[Any]:  # type: ignore[empty-body]
        """Return receivers of the events of a watched experiment: `ec2lab.watch.notifier.Notifier`."""

    @hookspec
    def lab_scripts(self) -> Iterable[Any]:  # type: ignore[empty-body]
        """Return what `make script` runs: `ec2lab.plugins.PluginScript`."""
