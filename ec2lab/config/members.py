"""Writing and removing members/NAME.toml."""

from __future__ import annotations

import shlex
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path

from ec2lab.config.models import Member
from ec2lab.config.public_key import fingerprint
from ec2lab.config.toml_writing import document_text, rewrite, with_texts, write_new
from ec2lab.errors import UserError
from ec2lab.files import exists, read_text


def new_key_pair(name: str) -> Path:
    """Make an ed25519 key pair in ~/.ssh and return the public key's path. Raises UserError where one is there.

    The private key has no passphrase, mode 0600, and never lies in the lab.
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
        raise UserError(f"KEY: ssh-keygen could not make a key pair: {made.stderr.strip()}")
    return public


def add(directory: Path, name: str, keys: Sequence[str]) -> str:
    """Write a new member's file, and return its path in the lab. Raises UserError."""
    file = f"members/{name}.toml"
    text = document_text({"keys": list(keys)})
    write_new(directory / file, text, Member, shown_as=file, says=Member(keys=list(keys)))
    return file


def add_keys(directory: Path, name: str, member: Member, keys: Sequence[str]) -> str | None:
    """Add keys to those of a member, leaving all else in the file as it is; return the file's path in the lab.

    None where the member has them all. Raises UserError.
    """
    known = set(map(fingerprint, member.keys))
    new = [key for key in keys if fingerprint(key) not in known]
    if not new:
        return None
    file = f"members/{name}.toml"
    before = read_text(directory / file)
    if "keys" not in tomllib.loads(before):
        raise UserError(f"members/{name}.pub: has {name}'s keys, a line each; add the new one there")
    after, is_last = with_texts(before, "keys", new)
    keys = [*member.keys, *new] if is_last else [*new, *member.keys]
    rewrite(directory / file, before, after, member.model_copy(update={"keys": keys}), shown_as=file)
    return file


def remove(directory: Path, name: str) -> list[str]:
    """Delete a member's files, and return their paths in the lab."""
    paths = [directory / "members" / f"{name}.{ending}" for ending in ("toml", "pub")]
    there = [path for path in paths if exists(path)]
    for path in there:
        path.unlink()
    return [f"members/{path.name}" for path in there]
