"""OpenSSH public keys, as they may enter an authorized_keys file."""

from __future__ import annotations

import re

TYPES = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
)
KEY = rf"(?:{'|'.join(TYPES)}) [A-Za-z0-9+/]{{40,}}={{0,2}}(?: [^\x00-\x1f\x7f]{{0,200}})?"


def public_key(text: str) -> str:
    """Return a public key as one clean line. Raises ValueError on options, other types and line breaks.

    sshd would obey a forced command or an environment in front of a key, so only the bare form `type base64 comment`
    is taken (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
    """
    if not re.fullmatch(KEY, text.strip()):
        message = f'{text[:40]!r} is not a public key in the form "ssh-ed25519 AAAA… comment", without options'
        raise ValueError(message)
    return text.strip()
