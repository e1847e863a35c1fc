"""All files of a lab at once: those that can be read, and all that is wrong with the others."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from ec2lab.config.lab_files import experiment_files, load_experiment, load_lab, load_member, member_files
from ec2lab.config.models import Experiment, Lab, Member
from ec2lab.config.toml_files import complaints, is_there
from ec2lab.errors import UserError
from ec2lab.launch.search import placement_preferences
from ec2lab.validators import NAME, NAME_HELP

Model = TypeVar("Model", bound=BaseModel)


@dataclass
class ConfigFiles:
    """lab.toml, experiments/ and members/."""

    directory: Path
    lab: Lab | None = None
    experiments: dict[str, Experiment] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    refused: dict[str, list[str]] = field(default_factory=dict)
    """File -> all that is wrong with it."""

    @classmethod
    def read(cls, directory: Path) -> ConfigFiles:
        """Read them. Raises UserError where there is no lab.toml."""
        files = cls(directory)
        if not is_there(directory / "lab.toml", shown_as="lab.toml"):
            load_lab(directory)  # says so
        files.lab = files._kept("lab.toml", Lab, lambda: load_lab(directory))
        for path in experiment_files(directory):
            files._experiment(path.stem)
        for path in member_files(directory):
            if member := files._kept(f"members/{path.name}", Member, lambda path=path: load_member(path)):  # type: ignore[misc]
                files.members[path.stem] = member
        return files

    def require_experiment(self, name: str) -> None:
        """Raise UserError where an experiment has no file."""
        if f"experiments/{name}.toml" not in self.refused:
            load_experiment(self.directory, name)

    def _experiment(self, name: str) -> None:
        shown_as = f"experiments/{name}.toml"
        experiment = self._kept(shown_as, Experiment, lambda: load_experiment(self.directory, name))
        if not re.fullmatch(NAME, name):
            self.refused.setdefault(shown_as, []).append(f"{shown_as}: {name!r} is not {NAME_HELP}")
        elif experiment and self.lab:
            try:
                placement_preferences(self.lab, name, experiment)
            except UserError as problem:
                self.refused[shown_as] = [str(problem)]
            else:
                self.experiments[name] = experiment

    def _kept(self, shown_as: str, model: type[Model], load: Callable[[], Model]) -> Model | None:
        """Return what a file holds; None where it is refused, of which all complaints are kept."""
        try:
            return load()
        except UserError as problem:
            self.refused[shown_as] = complaints(problem, model, shown_as=shown_as)
            return None
