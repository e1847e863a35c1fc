"""OpenSSH public keys for authorized_keys files: one implementation for this computer and for the program on the host.

`templates/accounts.py` imports this module, which is sent in place of the import, so it also runs on Python 3.9. Valid
characters of comments are given as code points, because each Python version has another version of Unicode. Refused
text is never repeated: it may be a private key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

KEY_FIELDS = {
    "ssh-ed25519": (r"(?s).{32}",),
    "sk-ssh-ed25519@openssh.com": (r"(?s).{32}", r"(?s).+"),
    "ecdsa-sha2-nistp256": ("nistp256", r"(?s)\x04.{64}"),
    "ecdsa-sha2-nistp384": ("nistp384", r"(?s)\x04.{96}"),
    "ecdsa-sha2-nistp521": ("nistp521", r"(?s)\x04.{132}"),
    "sk-ecdsa-sha2-nistp256@openssh.com": ("nistp256", r"(?s)\x04.{64}", r"(?s).+"),
    "ssh-rsa": (r"(?s).+", r"(?s).+"),
}
"""The accepted types, each with the fields of its blob after the type (RFC 4253, section 6.6; RFC 5656; RFC 8709;
OpenSSH's PROTOCOL.u2f)."""
RSA_BITS, MOST_RSA_BITS = 2048, 16384
"""Shorter RSA keys are disallowed since 2014 (NIST SP 800-131A); OpenSSH accepts no longer ones."""
LONGEST_COMMENT = 200
PRIVATE_KEY = r"PRIVATE KEY|AGE-SECRET-KEY-|PuTTY-User-Key-File-"
LINE_BREAKS = "\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029"  # those of str.splitlines
NO_TEXT = (  # control characters, surrogates and noncharacters
    "[\\x00-\\x08\\x0e-\\x1b\\x1f\\x7f-\\x84\\x86-\\x9f\\ud800-\\udfff\\ufdd0-\\ufdef\\ufffe\\uffff"
    + "".join(f"{chr(plane * 0x10000 + 0xFFFE)}-{chr(plane * 0x10000 + 0xFFFF)}" for plane in range(1, 17))
    + "]"
)
CLEAN = {
    **dict.fromkeys((0x09, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000), " "),
    **dict.fromkeys((0xAD, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070)), ""),
    **dict.fromkeys((0xFEFF, *range(0xFFF9, 0xFFFC), *range(0xE0000, 0xE0080)), ""),
}
"""Invisible characters that web pages, chats and editors add to copied text: unusual spaces become plain spaces;
zero-width characters and direction marks are removed."""


def public_key(text: str) -> str:
    """Return a public key as one clean line: type, base64, comment. Raises ValueError on anything else.

    sshd would obey options before a key, such as a forced command, so options are refused (sshd(8), AUTHORIZED_KEYS
    FILE FORMAT).
    """
    line = _one_line(text)
    kind, _, rest = line.partition(" ")
    body, _, comment = rest.strip().partition(" ")
    if kind not in KEY_FIELDS or not body:
        raise ValueError(_no_key(line))
    _check_blob(kind, body)
    if len(comment.strip()) > LONGEST_COMMENT:
        raise ValueError(f"has a comment of {len(comment.strip())} characters; the maximum is {LONGEST_COMMENT}")
    return f"{kind} {body} {comment.strip()}".strip()


def fingerprint(key: str) -> str:
    """Return a public key's fingerprint in ssh's format, "SHA256:…"."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def rsa_bits(key: str) -> int | None:
    """Return the length of an RSA key in bits; None for another type."""
    kind, body = key.split()[:2]
    fields = _fields(base64.b64decode(body))
    return int.from_bytes(fields[-1], "big").bit_length() if kind == "ssh-rsa" else None


def _one_line(text: str) -> str:
    if re.search(PRIVATE_KEY, text):
        raise ValueError(
            "is a private key, which must not be shared; its public key is one line (ssh-keygen -y shows it)"
        )
    line = text.translate(CLEAN).strip(LINE_BREAKS + " ")
    if any(mark in line for mark in LINE_BREAKS):
        raise ValueError("is of several lines, and a public key is of one")
    if found := re.search(NO_TEXT, line):
        raise ValueError(f"holds the control character U+{ord(found[0]):04X}; copy the line of the .pub file again")
    return line


def _no_key(line: str) -> str:
    """Return what a line contains that is not a public key."""
    kind, _, body = line.partition(" ")
    if kind.endswith("-cert-v01@openssh.com"):
        return "is a certificate, not a key; use its key: the .pub file without -cert"
    if kind == "ssh-dss":
        return "is a DSA key, which OpenSSH no longer supports (ssh-keygen -t ed25519 creates a new one)"
    if kind in KEY_FIELDS:
        return f"is {kind} alone, without its key; copy the whole line of the .pub file"
    kinds = "|".join(map(re.escape, KEY_FIELDS))
    if re.search(rf"(?:^|\s)(?:{kinds}) +AAAA", body):
        return "has text in front of the key: options and host names are not supported; begin with the type"
    return 'is not a public key in the form "ssh-ed25519 AAAA… comment"'


def _check_blob(kind: str, body: str) -> None:
    """Raise ValueError if the base64 is not a key of its type."""
    try:
        fields = _fields(base64.b64decode(body, validate=True))
    except (binascii.Error, ValueError):
        fields = []
    if not fields:
        raise ValueError(f"is not a whole {kind} key: copy the line of the .pub file again")
    found, *rest = (field.decode("latin-1") for field in fields)
    wanted = KEY_FIELDS[kind]
    if found != kind:
        raise ValueError(
            f"claims to be {kind}, but its base64 is of another type; copy the line of the .pub file again"
        )
    if len(rest) != len(wanted) or not all(map(re.fullmatch, wanted, rest)):
        raise ValueError(f"is not a whole {kind} key: copy the line of the .pub file again")
    if kind == "ssh-rsa" and not RSA_BITS <= (bits := int.from_bytes(fields[-1], "big").bit_length()) <= MOST_RSA_BITS:
        why = "too weak" if bits < RSA_BITS else "more than OpenSSH accepts"
        raise ValueError(f"is an RSA key of {bits} bits, which is {why} (ssh-keygen -t ed25519 creates a new one)")


def _fields(blob: bytes) -> list[bytes]:
    """Return the fields of a key's blob, which are length-prefixed; an empty list if it is truncated."""
    fields = []
    while blob:
        length = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + length:
            return []
        fields.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    return fields
