"""Finds and reads lab.toml, experiments/NAME.toml and members/NAME.toml. Writes and removes member files."""

from __future__ import annotations

import shlex
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ec2lab.config.key_files import keys_in
from ec2lab.config.models import Experiment, Lab, Member
from ec2lab.config.public_key import fingerprint
from ec2lab.config.toml_files import checked, document_text, is_there, load, read, rewrite, with_texts, write_new
from ec2lab.errors import UserError
from ec2lab.files import exists, read_content, read_text
from ec2lab.login_names import valid_login
from ec2lab.validators import did_you_mean


def load_lab(directory: Path) -> Lab:
    path = directory / "lab.toml"
    if not is_there(path, shown_as="lab.toml"):
        raise UserError(f"{path}: not found; run make in the directory that holds lab.toml")
    return load(path, Lab, shown_as="lab.toml")


def load_experiment(directory: Path, name: str) -> Experiment:
    """Read experiments/NAME.toml. Raises UserError that names `make new` if it does not exist."""
    return checked(written_experiment(directory, name), Experiment, shown_as=f"experiments/{name}.toml")


def has_file(directory: Path, name: str) -> bool:
    """Return whether experiments/NAME.toml exists. Raises UserError if that cannot be determined."""
    file = f"experiments/{name}.toml"
    return is_there(directory / file, shown_as=file)


def written_experiment(directory: Path, name: str) -> dict[str, Any]:
    """Return experiments/NAME.toml as written. Raises UserError that names `make new` if it does not exist."""
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
    return _shown_files(directory / "members")


def experiment_files(directory: Path) -> list[Path]:
    return _shown_files(directory / "experiments")


def _shown_files(directory: Path) -> list[Path]:
    """Return the TOML files in a directory, without those of editors and file managers, which begin with a dot."""
    return sorted(path for path in directory.glob("*.toml") if not path.name.startswith("."))


def load_member(path: Path) -> Member:
    """Read a member's file; its keys may be in a .pub file next to it. Raises UserError."""
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


def new_key_pair(name: str) -> Path:
    """Create an ed25519 key pair in ~/.ssh and return the public key's path. Raises UserError if one exists.

    The private key has no passphrase, has mode 0600, and is never in the lab's directory.
    """
    private = Path("~/.ssh").expanduser() / f"ec2-lab-{name}"
    public = private.with_name(f"{private.name}.pub")
    if exists(private) or exists(public):
        raise UserError(
            f"KEY: {private} exists already; name its public key (KEY={shlex.quote(str(public))}), or move it away"
        )
    private.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(private)],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if made.returncode:
        raise UserError(f"KEY: ssh-keygen could not create a key pair: {made.stderr.strip()}")
    return public


def add(directory: Path, name: str, keys: Sequence[str]) -> str:
    """Write a new member's file and return its path, relative to the lab. Raises UserError."""
    file = f"members/{name}.toml"
    text = document_text({"keys": list(keys)})
    write_new(directory / file, text, Member, shown_as=file, says=Member(keys=list(keys)))
    return file


def add_keys(directory: Path, name: str, member: Member, keys: Sequence[str]) -> str | None:
    """Add keys to a member's file, keep everything else in it, and return its path, relative to the lab.

    Returns None if the member already has all of them. Raises UserError.
    """
    known = set(map(fingerprint, member.keys))
    new = [key for key in keys if fingerprint(key) not in known]
    if not new:
        return None
    file = f"members/{name}.toml"
    before = read_text(directory / file)
    if "keys" not in tomllib.loads(before):
        raise UserError(f"members/{name}.pub: has {name}'s keys, one per line; add the new one there")
    after, is_last = with_texts(before, "keys", new)
    keys = [*member.keys, *new] if is_last else [*new, *member.keys]
    rewrite(directory / file, before, after, member.model_copy(update={"keys": keys}), shown_as=file)
    return file


def remove(directory: Path, name: str) -> list[str]:
    """Delete a member's files and return their paths, relative to the lab."""
    paths = [directory / "members" / f"{name}.{ending}" for ending in ("toml", "pub")]
    there = [path for path in paths if exists(path)]
    for path in there:
        path.unlink()
    return [f"members/{path.name}" for path in there]
