"""The private keys that this computer can log in with: files, as ssh reads them, and the agent's.

Only the public half of a private key is read, which an OpenSSH key gives without its passphrase.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import shlex
import stat
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ec2lab.config.public_key import fingerprint, public_key
from ec2lab.files import exists, read_bytes

LARGEST = 64 * 1024  # bytes: no key is larger
SECONDS = 5
PRIVATE = re.compile(rb"-----BEGIN (?:([A-Z]+) )?PRIVATE KEY-----")
MAGIC, PLAIN = b"openssh-key-v1\0", b"none"
"""The start of an OpenSSH key, and the cipher of one without a passphrase (OpenSSH, PROTOCOL.key)."""


@dataclass(frozen=True, slots=True)
class KeyFile:
    path: Path
    fingerprint: str
    is_locked: bool = False  # whether it has a passphrase
    is_open: bool = False  # whether others may read it, so that ssh refuses it

    @property
    def fault(self) -> str:
        """Why a non-interactive ssh cannot use it; empty where it can."""
        quoted = shlex.quote(str(self.path))
        if self.is_open:
            return f"may be read by others, and so ssh refuses it: `chmod 600 {quoted}`"
        return f"has a passphrase, and is not in the agent: `ssh-add {quoted}`" if self.is_locked else ""


def own_key_files() -> list[KeyFile]:
    return key_files(sorted(Path("~/.ssh").expanduser().glob("*")))


def key_files(paths: Iterable[Path]) -> list[KeyFile]:
    return [found for path in paths if (found := _key_file(path))]


def agent_fingerprints(socket: str | None = None) -> list[str]:
    """Return the fingerprints of an agent's keys, by default the usual agent's; empty without one."""
    environment = {**os.environ, **({"SSH_AUTH_SOCK": socket} if socket else {})}
    return re.findall(r"SHA256:\S+", output_of("ssh-add", "-l", "-E", "sha256", environment=environment))


def output_of(*command: str, environment: dict[str, str] | None = None) -> str:
    """Return a command's output; empty where it is missing or does not end."""
    try:
        ended = subprocess.run(
            command, capture_output=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (ended.stdout + ended.stderr).decode(errors="replace")


def _key_file(path: Path) -> KeyFile | None:
    try:
        content = read_bytes(path, LARGEST)
        is_open = bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    except OSError:
        return None
    if not (found := PRIVATE.search(content)):
        return None
    key, is_locked = _opened(content) if found[1] == b"OPENSSH" else _of_pem(path, content)
    return KeyFile(path, key, is_locked, is_open) if key else None


def _opened(content: bytes) -> tuple[str, bool]:
    """Return the fingerprint of an OpenSSH private key, and whether it has a passphrase."""
    lines = re.findall(rb"^[A-Za-z0-9+/=]+\r?$", content, re.MULTILINE)
    try:
        blob = base64.b64decode(b"".join(lines))
    except binascii.Error:
        return "", False
    cipher, rest = _string(blob.removeprefix(MAGIC))
    _, rest = _string(rest)  # the key derivation function and its options
    _, rest = _string(rest)
    public, _ = _string(rest[4:])  # after the number of keys, which is one
    return (_fingerprint(public) if public else ""), cipher != PLAIN


def _string(blob: bytes) -> tuple[bytes, bytes]:
    end = 4 + int.from_bytes(blob[:4])
    return blob[4:end], blob[end:]


def _fingerprint(public: bytes) -> str:
    return fingerprint(f"key {base64.b64encode(public).decode()}")


def _of_pem(path: Path, content: bytes) -> tuple[str, bool]:
    """Return the same for a key in another format, whose public half is in a file next to it or computed."""
    is_locked = b"ENCRYPTED" in content
    beside = path.with_name(f"{path.name}.pub")
    try:
        line = read_bytes(beside, LARGEST).decode() if exists(beside) else ""
        print_of_key = fingerprint(public_key(line or output_of("ssh-keygen", "-y", "-P", "", "-f", str(path))))
    except (OSError, ValueError):
        return "", is_locked
    return print_of_key, is_locked
