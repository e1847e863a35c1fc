"""The plugin registry: everything that can be added to the lab without changing it.

What comes with the lab is a plugin like any other. More come from packages, through the entry point group
`ec2_lab`, and from files that a teammate drops into `plugins/` beside lab.toml. A plugin is a module with functions
of the names below, each marked by `@hookimpl`.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy
import typer

from ec2lab.errors import PluginFailed, UserError
from ec2lab.outlet import PLUGIN_AT_WORK
from ec2lab.plugin_guard import Guard
from ec2lab.printable import shortened

if TYPE_CHECKING:
    from ec2lab.doctor.check import Check
    from ec2lab.launch.part import LaunchPart
    from ec2lab.registry.backends import RegistryBackend
    from ec2lab.resource import ResourceType
    from ec2lab.watch.notifier import Notifier

PROJECT = "ec2_lab"
BUILT_IN = Path(__file__).parents[0] / "builtin.py"
BUILT_IN_NAME = f"{BUILT_IN.parent.name}/{BUILT_IN.name}"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Hooks:
    """What a plugin may add."""

    @hookspec
    def lab_kinds(self) -> Iterable[ResourceType]:  # type: ignore[empty-body]
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

        Raises UserError.
        """
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Hooks)
        self._register(BUILT_IN)
        if directory is None:
            return
        for entry in sorted(entry_points(group=PROJECT), key=lambda entry: entry.name):
            self._register_package(entry)
        for path in sorted(directory.glob("*.py")):
            self._register(path)
        with _plugin_errors("plugins"):
            self._manager.check_pending()  # a function marked as a hook that no hook is called

    def _register_package(self, entry: EntryPoint) -> None:
        name = f"package {entry.dist.name if entry.dist else entry.module}"
        with _plugin_errors(name):
            self._manager.register(entry.load(), name=f"{name} ({entry.name})")

    def _register(self, path: Path) -> None:
        name = f"{path.parent.name}/{path.name}"
        if not path.is_file():
            raise UserError(f"{name}: is no file (a link that leads nowhere, or a device?); remove it")
        with _plugin_errors(name):
            self._manager.register(_module(path), name=name)

    def kinds(self) -> dict[str, ResourceType]:
        """Return every kind by its name, those that must be deleted first in front.

        A later plugin's kind takes the place of an earlier one of the same name.
        """
        from ec2lab.resource import ResourceType

        named = {kind.name: kind for kind in self._all("lab_kinds", ResourceType)}
        return {kind.name: kind for kind in topological_order(list(named.values()))}

    def launch_parts(self) -> list[LaunchPart]:
        """Return every launch part, in the order in which their shares are added up."""
        from ec2lab.launch.part import LaunchPart

        named = {part.name: part for part in self._all("lab_launch_parts", LaunchPart)}
        return sorted(named.values(), key=lambda part: (part.order, part.name))

    def registry_backends(self) -> dict[str, RegistryBackend]:
        """Return the places where a registry can be kept, by scheme."""
        from ec2lab.registry.backends import RegistryBackend

        return {backend.scheme: backend for backend in self._all("lab_registry_backends", RegistryBackend)}

    def checks(self) -> list[Check]:
        """Return every check of `make doctor`, in the order in which their findings are shown."""
        from ec2lab.doctor.check import Check

        named = {check.name: check for check in self._all("lab_checks", Check)}
        return sorted(named.values(), key=lambda check: (check.order, check.name))

    def notifiers(self) -> list[Notifier]:
        """Return every notifier; a later plugin's takes the place of an earlier one of the same name."""
        from ec2lab.watch.notifier import Notifier

        return list({notifier.name: notifier for notifier in self._all("lab_notifiers", Notifier)}.values())

    def scripts(self) -> dict[str, PluginScript]:
        """Return every script by its name; a later plugin's takes the place of an earlier one of the same name."""
        return {script.name: script for script in self._all("lab_scripts", PluginScript)}

    def _all(self, hook: str, wanted: type[Any]) -> list[Any]:
        """Return what all plugins give for a hook, the first loaded first (pluggy asks the last one first)."""
        found: list[Any] = []
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            with _plugin_errors(implementation.plugin_name):
                given = list(implementation.function())
            found += self._held_to(given, wanted, hook, implementation.plugin_name)
        return found

    def _held_to(self, given: list[Any], wanted: type[Any], hook: str, plugin: str) -> list[Any]:
        """Return what a plugin gave, guarded. Raises PluginFailed for what is something else, or lacks something."""
        if plugin == BUILT_IN_NAME:
            return given
        from ec2lab.plugin_guard import Guard, guarded
        from ec2lab.plugin_results import RESULTS

        for thing in given:
            if not isinstance(thing, wanted):
                raise PluginFailed(f"{plugin}: {hook}: {shortened(repr(thing), 80)} is not a {wanted.__name__}")
            if lacking := _lacking(thing, wanted):
                raise PluginFailed(f"{plugin}: {hook}: {type(thing).__name__}: {lacking}")
        with _plugin_errors(plugin):
            if wanted is PluginScript:
                return [replace(thing, plugin=plugin) for thing in given]
            return [guarded(thing, Guard(plugin), RESULTS) for thing in given]


@contextmanager
def _plugin_errors(plugin: str) -> Iterator[None]:
    """Turn whatever goes wrong when a plugin is loaded into one line that names it: it may fail in any way."""
    at_work = PLUGIN_AT_WORK.set(plugin)
    try:
        yield
    except (Exception, SystemExit) as problem:
        reason = shortened(" ".join(f"{type(problem).__name__}: {problem}".split()))
        raise PluginFailed(f"{plugin}: can't be loaded: {reason}") from problem
    finally:
        PLUGIN_AT_WORK.reset(at_work)


def _lacking(thing: Any, wanted: type[Any]) -> str:
    """Return which of the members that its class must have is missing, or is something else than declared."""
    forms = {
        "ClassVar[str]": (str, "text"), "ClassVar[int]": (int, "a whole number"), "ClassVar[bool]": (bool, "a bool"),
        "ClassVar[Sequence[str]]": (Sequence, "a list of texts"),
    }  # fmt: skip
    for name, declared in wanted.__annotations__.items():
        form, words = forms.get(declared, (object, ""))
        value: Any = getattr(thing, name, None)
        several = form is Sequence
        right = isinstance(value, form) and not (several and isinstance(value, str))
        if not right or (several and not all(isinstance(one, str) for one in value)):
            return f"{name} is missing" if value is None else f"{name} is {shortened(repr(value), 80)}, not {words}"
    return ""


def topological_order(kinds: list[ResourceType]) -> list[ResourceType]:
    """Return kinds so that each stands behind those named in its `deleted_after`. Raises UserError on a circle."""
    ordered: list[ResourceType] = []
    waiting = list(kinds)
    names = {kind.name for kind in kinds}
    while waiting:
        done = {kind.name for kind in ordered}
        free = [kind for kind in waiting if all(name in done or name not in names for name in kind.deleted_after)]
        if not free:
            circle = ", ".join(kind.name for kind in waiting)
            raise UserError(f"plugins: {circle} each want to be deleted after another; fix their deleted_after")
        ordered += free
        waiting = [kind for kind in waiting if kind not in free]
    return ordered


def _module(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"lab_plugin_{path.stem}", path)
    if specification is None or specification.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # dataclasses look their own module up
    specification.loader.exec_module(module)
    return module


@dataclass(frozen=True, slots=True)
class PluginScript:
    """What a script is called, and its typer application, made by `ec2lab.options.script`."""

    name: str
    app: typer.Typer
    plugin: str = ""
    """Which plugin brings it."""

    @property
    def summary(self) -> str:
        """The first line of what it says of itself."""
        return str(self.app.info.help or "").strip().partition("\n")[0]

    def run(self) -> None:
        """Run it to its end; it takes its options from the environment. Raises UserError."""
        with Guard(self.plugin, is_script=True).blamed():
            self.app(args=[], prog_name=f"make script SCRIPT={self.name}")
