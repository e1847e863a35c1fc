"""The plugin registry: everything that can be added to the lab without changing it.

What comes with the lab is a plugin like any other. More come from packages, through the entry point group
`ec2_lab`, and from files that a teammate drops into `plugins/` beside lab.toml. A plugin is a module with functions
of the names below, each marked by `@hookimpl`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from scripts.core.errors import LabError

if TYPE_CHECKING:
    from scripts.core.check import Check
    from scripts.core.kind import Kind
    from scripts.core.launch_part import LaunchPart
    from scripts.core.notifier import Notifier
    from scripts.core.plugin_script import PluginScript
    from scripts.core.registry_backend import RegistryBackend

PROJECT = "ec2_lab"
BUILT_IN = Path(__file__).parents[1] / "builtin.py"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Hooks:
    """What a plugin may add."""

    @hookspec
    def lab_kinds(self) -> Iterable[Kind]:  # type: ignore[empty-body]
        """Return kinds of resource that the lab shall see, tag and tear down."""

    @hookspec
    def lab_launch_parts(self) -> Iterable[LaunchPart]:  # type: ignore[empty-body]
        """Return parts that add their share to every launch."""

    @hookspec
    def lab_registry_backends(self) -> Iterable[RegistryBackend]:  # type: ignore[empty-body]
        """Return places where a registry can be kept, each by the scheme of its address."""

    @hookspec
    def lab_checks(self) -> Iterable[Check]:  # type: ignore[empty-body]
        """Return what `make doctor` looks at."""

    @hookspec
    def lab_notifiers(self) -> Iterable[Notifier]:  # type: ignore[empty-body]
        """Return what carries the news of a watched experiment to where people are."""

    @hookspec
    def lab_scripts(self) -> Iterable[PluginScript]:  # type: ignore[empty-body]
        """Return what `make script` runs."""


class Plugins:
    """All plugins of a lab, loaded once."""

    def __init__(self, directory: Path | None) -> None:
        """Load the built-in plugins, then packages', then the files in `directory`; without one the built-in alone.

        Raises LabError.
        """
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Hooks)
        self._register(BUILT_IN)
        if directory is None:
            return
        with _blamed_on("a package"):
            self._manager.load_setuptools_entrypoints(PROJECT)
        for path in sorted(directory.glob("*.py")):
            self._register(path)
        with _blamed_on("plugins"):
            self._manager.check_pending()  # a function marked as a hook that no hook is called

    def _register(self, path: Path) -> None:
        name = f"{path.parent.name}/{path.name}"
        with _blamed_on(name):
            self._manager.register(_module(path), name=name)

    def kinds(self) -> dict[str, Kind]:
        """Return every kind by its name, those that must be deleted first in front.

        A later plugin's kind takes the place of an earlier one of the same name.
        """
        from scripts.core.kind import Kind

        named = {kind.name: kind for kind in self._all("lab_kinds", Kind)}
        return {kind.name: kind for kind in in_deletion_order(list(named.values()))}

    def launch_parts(self) -> list[LaunchPart]:
        """Return every launch part, in the order in which their shares are added up."""
        from scripts.core.launch_part import LaunchPart

        named = {part.name: part for part in self._all("lab_launch_parts", LaunchPart)}
        return sorted(named.values(), key=lambda part: (part.order, part.name))

    def registry_backends(self) -> dict[str, RegistryBackend]:
        """Return the places where a registry can be kept, by scheme."""
        from scripts.core.registry_backend import RegistryBackend

        return {backend.scheme: backend for backend in self._all("lab_registry_backends", RegistryBackend)}

    def checks(self) -> list[Check]:
        """Return every check of `make doctor`, in the order in which their findings are shown."""
        from scripts.core.check import Check

        named = {check.name: check for check in self._all("lab_checks", Check)}
        return sorted(named.values(), key=lambda check: (check.order, check.name))

    def notifiers(self) -> list[Notifier]:
        """Return every notifier; a later plugin's takes the place of an earlier one of the same name."""
        from scripts.core.notifier import Notifier

        return list({notifier.name: notifier for notifier in self._all("lab_notifiers", Notifier)}.values())

    def scripts(self) -> dict[str, PluginScript]:
        """Return every script by its name; a later plugin's takes the place of an earlier one of the same name."""
        from scripts.core.plugin_script import PluginScript

        return {script.name: script for script in self._all("lab_scripts", PluginScript)}

    def _all(self, hook: str, wanted: type[Any]) -> list[Any]:
        """Return what all plugins give for a hook, the first loaded first (pluggy asks the last one first)."""
        found: list[Any] = []
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            with _blamed_on(implementation.plugin_name):
                given = list(implementation.function())
            if strangers := [thing for thing in given if not isinstance(thing, wanted)]:
                raise LabError(f"{implementation.plugin_name}: {hook}: {strangers[0]!r} is not a {wanted.__name__}")
            found += given
        return found


@contextmanager
def _blamed_on(plugin: str) -> Iterator[None]:
    """Turn whatever goes wrong in a plugin into one line that names it: it may fail in any way."""
    try:
        yield
    except (Exception, SystemExit) as problem:
        reason = " ".join(f"{type(problem).__name__}: {problem}".split())
        raise LabError(f"{plugin}: can't be loaded: {reason}") from problem


def in_deletion_order(kinds: list[Kind]) -> list[Kind]:
    """Return kinds so that each stands behind those named in its `deleted_after`. Raises LabError on a circle."""
    ordered: list[Kind] = []
    waiting = list(kinds)
    names = {kind.name for kind in kinds}
    while waiting:
        done = {kind.name for kind in ordered}
        free = [kind for kind in waiting if all(name in done or name not in names for name in kind.deleted_after)]
        if not free:
            circle = ", ".join(kind.name for kind in waiting)
            raise LabError(f"plugins: {circle} each want to be deleted after another; mend their deleted_after")
        ordered += free
        waiting = [kind for kind in waiting if kind not in free]
    return ordered


def _module(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"lab_plugin_{path.stem}", path)
    if specification is None or specification.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
