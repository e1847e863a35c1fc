"""A script that a plugin brings: `make script SCRIPT=its-name` runs it."""

from __future__ import annotations

from dataclasses import dataclass

import typer


@dataclass(frozen=True, slots=True)
class PluginScript:
    """What a script is called, and its typer application, made by `scripts.core.options.script`."""

    name: str
    app: typer.Typer

    @property
    def summary(self) -> str:
        """The first line of what it says of itself."""
        return str(self.app.info.help or "").strip().partition("\n")[0]
