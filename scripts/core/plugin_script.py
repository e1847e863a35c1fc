"""A script that a plugin brings: `make script SCRIPT=its-name` runs it."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from scripts.core.plugin_guard import Guard


@dataclass(frozen=True, slots=True)
class PluginScript:
    """What a script is called, and its typer application, made by `scripts.core.options.script`."""

    name: str
    app: typer.Typer
    plugin: str = ""
    """Which plugin brings it."""

    @property
    def summary(self) -> str:
        """The first line of what it says of itself."""
        return str(self.app.info.help or "").strip().partition("\n")[0]

    def run(self) -> None:
        """Run it to its end; it takes its options from the environment. Raises LabError."""
        with Guard(self.plugin, is_script=True).blamed():
            self.app(args=[], prog_name=f"make script SCRIPT={self.name}")
