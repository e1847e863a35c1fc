"""OpenSSH public keys, as they may enter an authorized_keys file."""

from __future__ import annotations

import base64
import binascii
import hashlib
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
KEY = rf"(?P<type>{'|'.join(TYPES)}) (?P<body>[A-Za-z0-9+/]{{40,}}={{0,2}})(?: [^\x00-\x1f\x7f]{{0,200}})?"
RSA_BITS = 2048
"""Shorter RSA keys have been disallowed since 2014 (NIST SP 800-131A)."""


def public_key(text: str) -> str:
    """Return a public key as one clean line. Raises ValueError on options, other types, weak keys and line breaks.

    sshd would obey a forced command or an environment in front of a key, so only the bare form `type base64 comment`
    is taken (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
    """
    if not (found := re.fullmatch(KEY, text.strip())):
        message = f'{text[:40]!r} is not a public key in the form "ssh-ed25519 AAAA… comment", without options'
        raise ValueError(message)
    fields = _fields(found["body"])
    if not fields or fields[0] != found["type"].encode():
        message = f"{text[:40]!r} is not a whole {found['type']} key: copy the line of the .pub file again"
        raise ValueError(message)
    if found["type"] == "ssh-rsa" and (bits := int.from_bytes(fields[-1]).bit_length()) < RSA_BITS:
        message = f"{text[:40]!r} is an RSA key of {bits} bits, which is too weak (ssh-keygen -t ed25519 makes another)"
        raise ValueError(message)
    return text.strip()


def fingerprint(key: str) -> str:
    """Return the fingerprint of a public key as ssh shows it: "SHA256:…"."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def _fields(body: str) -> list[bytes]:
    """Return the fields of a key's blob, each with its length in front (RFC 4253, section 6.6); none if it is cut."""
    try:
        blob = base64.b64decode(body, validate=True)
    except binascii.Error:
        return []
    fields = []
    while blob:
        length = int.from_bytes(blob[:4])
        if len(blob) < 4 + length:
            return []
        fields.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    return fields
