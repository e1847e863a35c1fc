"""Writing and removing members/NAME.toml."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from scripts.core.errors import LabError
from scripts.core.lab.public_key import public_key
from scripts.core.whole_file import drafted, exists, read_text


def new_key_pair(name: str) -> Path:
    """Make an ed25519 key pair in ~/.ssh and return the public key's path. Raises LabError where one is there.

    The private key has no passphrase, mode 0600, and never lies in the lab.
    """
    directory = Path("~/.ssh").expanduser()
    private = directory / f"ec2-lab-{name}"
    if exists(private) or exists(private.with_suffix(".pub")):
        raise LabError(f"KEY: {private} exists already; name its public key (KEY={private}.pub), or move it away")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(private)],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if made.returncode:
        raise LabError(f"KEY: ssh-keygen could not make a key pair: {made.stderr.strip()}")
    return private.with_suffix(".pub")


def add(directory: Path, name: str, public: Path) -> str:
    """Write a member's file with the key in `public`, and return its path in the lab. Raises LabError."""
    try:
        lines = [line.strip() for line in read_text(public).splitlines() if line.strip()]
        keys = [public_key(line) for line in lines]
    except (OSError, UnicodeDecodeError) as problem:
        raise LabError(f"KEY: {public}: can't be read ({problem})") from problem
    except ValueError as problem:
        raise LabError(f"KEY: {public}: {problem}") from problem
    if not keys:
        raise LabError(f"KEY: {public}: is empty")
    path = directory / "members" / f"{name}.toml"
    path.parent.mkdir(exist_ok=True)
    try:
        # JSON's strings are TOML's.
        with drafted(path, f"keys = {json.dumps(keys)}\n".encode()) as draft:
            os.link(draft, path)  # whole, and never over another
    except FileExistsError as problem:
        raise LabError(f"members/{name}.toml: exists already") from problem
    except OSError as problem:
        raise LabError(f"{path}: can't be written: {problem.strerror}") from problem
    return f"members/{name}.toml"


def remove(directory: Path, name: str) -> list[str]:
    """Delete a member's files, and return their paths in the lab."""
    paths = [directory / "members" / f"{name}.{ending}" for ending in ("toml", "pub")]
    there = [path for path in paths if exists(path)]
    for path in there:
        path.unlink()
    return [f"members/{path.name}" for path in there]
