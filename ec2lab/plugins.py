"""The plugin registry: everything that can be added to the lab without changing it.

Built-in features are plugins too. Others come from packages, through the entry point group `ec2_lab`, and from files in
`plugins/` next to lab.toml. A plugin is a module with functions of the names below, each marked by `@hookimpl`.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy
import typer

from ec2lab.errors import PluginFailed, UserError
from ec2lab.plugin_guard import Guard, guarded
from ec2lab.plugin_interfaces import PROJECT, Hooks
from ec2lab.printable import shortened
from ec2lab.standard_streams import PLUGIN_AT_WORK

BUILT_IN = Path(__file__).parents[0] / "builtin.py"
BUILT_IN_NAME = f"{BUILT_IN.parent.name}/{BUILT_IN.name}"

hookimpl = pluggy.HookimplMarker(PROJECT)


class Plugins:
    def __init__(self, directory: Path | None) -> None:
        """Load the built-in plugins and, given a directory, packages' and the files in it. Raises UserError."""
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
            self._manager.check_pending()  # a function marked as a hook with an unknown name

    def _register_package(self, entry: EntryPoint) -> None:
        name = f"package {entry.dist.name if entry.dist else entry.module}"
        with _plugin_errors(name):
            self._manager.register(entry.load(), name=f"{name} ({entry.name})")

    def _register(self, path: Path) -> None:
        name = f"{path.parent.name}/{path.name}"
        if not path.is_file():
            raise UserError(f"{name}: is not a file (a dangling link, or a device?); remove it")
        with _plugin_errors(name):
            self._manager.register(_module(path), name=name)

    def named(self, hook: str, wanted: type[Any], by: str = "name") -> dict[str, Any]:
        """Return what all plugins give for a hook, by name; a later plugin's takes the place of an earlier one's.

        Each is a `wanted`: an interface that says in `results` what its methods must return.
        """
        return {getattr(thing, by): thing for thing in self._all(hook, wanted)}

    def ordered(self, hook: str, wanted: type[Any]) -> list[Any]:
        """Return the same as a list, by their `order`."""
        return sorted(self.named(hook, wanted).values(), key=lambda thing: (thing.order, thing.name))

    def _all(self, hook: str, wanted: type[Any]) -> list[Any]:
        found: list[Any] = []  # the first loaded first: pluggy asks the last one first
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            with _plugin_errors(implementation.plugin_name):
                given = list(implementation.function())
            found += self._held_to(given, wanted, hook, implementation.plugin_name)
        return found

    def _held_to(self, given: list[Any], wanted: type[Any], hook: str, plugin: str) -> list[Any]:
        """Return a plugin's object, guarded. Raises PluginFailed where it has another type, or lacks something."""
        if plugin == BUILT_IN_NAME:
            return given
        for thing in given:
            if not isinstance(thing, wanted):
                raise PluginFailed(f"{plugin}: {hook}: {shortened(repr(thing), 80)} is not a {wanted.__name__}")
            if lacking := _lacking(thing, wanted):
                raise PluginFailed(f"{plugin}: {hook}: {type(thing).__name__}: {lacking}")
        with _plugin_errors(plugin):
            if wanted is PluginScript:
                return [replace(thing, plugin=plugin) for thing in given]
            return [guarded(thing, Guard(plugin), wanted.results) for thing in given]


@contextmanager
def _plugin_errors(plugin: str) -> Iterator[None]:
    """Turn any error while loading a plugin into one line that names it."""
    at_work = PLUGIN_AT_WORK.set(plugin)
    try:
        yield
    except (Exception, SystemExit) as problem:
        reason = shortened(" ".join(f"{type(problem).__name__}: {problem}".split()))
        raise PluginFailed(f"{plugin}: can't be loaded: {reason}") from problem
    finally:
        PLUGIN_AT_WORK.reset(at_work)


def _lacking(thing: Any, wanted: type[Any]) -> str:
    """Return the declared members that are missing or of another kind."""
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


def _module(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"lab_plugin_{path.stem}", path)
    if specification is None or specification.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # dataclasses look up their module
    specification.loader.exec_module(module)
    return module


@dataclass(frozen=True, slots=True)
class PluginScript:
    """The name of a script, and its typer application, created by `ec2lab.options.script`."""

    name: str
    app: typer.Typer
    plugin: str = ""  # the plugin that provides it

    @property
    def summary(self) -> str:
        return str(self.app.info.help or "").strip().partition("\n")[0]

    def run(self) -> None:
        """Run it; options come from the environment. Raises UserError."""
        with Guard(self.plugin, is_script=True).blamed():
            self.app(args=[], prog_name=f"make script SCRIPT={self.name}")
