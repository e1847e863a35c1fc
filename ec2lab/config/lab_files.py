"""lab.toml, experiments/NAME.toml and members/NAME.toml, found and read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ec2lab.config.key_files import keys_in
from ec2lab.config.models import Experiment, Lab, Member
from ec2lab.config.toml_files import checked, is_there, load, read
from ec2lab.errors import UserError
from ec2lab.files import read_content
from ec2lab.login_names import valid_login
from ec2lab.validators import did_you_mean


def load_lab(directory: Path) -> Lab:
    """Read lab.toml. Raises UserError."""
    path = directory / "lab.toml"
    if not is_there(path, shown_as="lab.toml"):
        raise UserError(f"{path}: not found; run make in the directory that holds lab.toml")
    return load(path, Lab, shown_as="lab.toml")


def load_experiment(directory: Path, name: str) -> Experiment:
    """Read experiments/NAME.toml. Raises UserError, naming `make new` where there is none."""
    return checked(written_experiment(directory, name), Experiment, shown_as=f"experiments/{name}.toml")


def has_file(directory: Path, name: str) -> bool:
    """Say whether there is an experiments/NAME.toml. Raises UserError where that is not to be seen."""
    file = f"experiments/{name}.toml"
    return is_there(directory / file, shown_as=file)


def written_experiment(directory: Path, name: str) -> dict[str, Any]:
    """Return experiments/NAME.toml as it was written. Raises UserError, naming `make new` where there is none."""
    file = f"experiments/{name}.toml"
    if not has_file(directory, name):
        known = [path.stem for path in experiment_files(directory)]
        raise UserError(
            f"{file}: no such experiment{did_you_mean(name, known)}; `make new EXP={name}` writes one to start from"
        )
    return read(directory / file, shown_as=file)


def load_members(directory: Path) -> Mapping[str, Member]:
    """Read members/*.toml, by name. Raises UserError."""
    return {path.stem: load_member(path) for path in member_files(directory)}


def member_files(directory: Path) -> list[Path]:
    """Return the members' files."""
    return _shown_files(directory / "members")


def experiment_files(directory: Path) -> list[Path]:
    """Return the experiments' files."""
    return _shown_files(directory / "experiments")


def _shown_files(directory: Path) -> list[Path]:
    """Return the TOML files of a directory; those that begin with a dot are editors' and file managers' own."""
    return sorted(path for path in directory.glob("*.toml") if not path.name.startswith("."))


def load_member(path: Path) -> Member:
    """Read a member's file; the keys may stand in a .pub file beside it. Raises UserError."""
    try:
        valid_login(path.stem)
    except ValueError as problem:
        raise UserError(f"members/{path.name}: {problem}") from problem
    beside = path.with_suffix(".pub")
    has_keys = is_there(beside, shown_as=f"members/{beside.name}")
    keys = _keys_in(beside) if has_keys else []
    return load(path, Member, shown_as=f"members/{path.name}", defaults={"keys": keys} if keys else {})


def _keys_in(path: Path) -> list[str]:
    shown_as = f"members/{path.name}"
    try:
        return keys_in(read_content(path), shown_as, path)
    except OSError as problem:
        raise UserError(f"{shown_as}: can't be read: {problem.strerror}") from problem
