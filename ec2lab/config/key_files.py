"""Reads files with public keys in any common encoding, and recognizes files that are something else.

Content that is not a public key is never repeated: it may be a private key.
"""

from __future__ import annotations

import codecs
import re
import shlex
from pathlib import Path

from ec2lab.config.public_key import KEY_FIELDS, fingerprint, public_key
from ec2lab.errors import UserError
from ec2lab.files import exists, read_content
from ec2lab.secret_detection import secret_in
from ec2lab.validators import did_you_mean

ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Encodings by the bytes that a file begins with, longer ones first: PowerShell's `>` writes UTF-16, and editors on
Windows write a byte-order mark before UTF-8."""
STAYS = "which must not be shared"
SHOW_PUBLIC = "`ssh-keygen -y -f {file} > {pub}` writes its public key, KEY={pub} names that"
FORMATS = {
    r"-----BEGIN OPENSSH PRIVATE KEY-----": f"is a private key (OpenSSH's), {STAYS}: {SHOW_PUBLIC}",
    r"-----BEGIN (RSA|DSA|EC) PRIVATE KEY-----": f"is a private key (PEM, PKCS #1), {STAYS}: {SHOW_PUBLIC}",
    r"-----BEGIN PRIVATE KEY-----\s+MC4CAQAwBQYDK2Vw": (
        f"is a private key (ed25519 as PEM, PKCS #8), {STAYS}: {SHOW_PUBLIC} (OpenSSH 9.6 or newer)"
    ),
    r"-----BEGIN (ENCRYPTED )?PRIVATE KEY-----": f"is a private key (PEM, PKCS #8), {STAYS}: {SHOW_PUBLIC}",
    r"^b3BlbnNzaC1rZXktdjE": f"is a private key (OpenSSH's) without its first line, {STAYS}: {SHOW_PUBLIC}",
    r"^PuTTY-User-Key-File-\d": (
        f"is a PuTTY key, private part and all, {STAYS}: `puttygen {{file}} -O public-openssh -o {{pub}}` writes its "
        "public key, KEY={pub} names that"
    ),
    r"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----": f"is a private key (SSH2, as of ssh.com), {STAYS}",
    r"---- BEGIN SSH2 PUBLIC KEY ----": (
        "is a public key in the form of SSH2 (RFC 4716, as PuTTYgen saves it): `ssh-keygen -i -f {file} > {pub}` "
        "converts it, KEY={pub} names the result"
    ),
    r"-----BEGIN RSA PUBLIC KEY-----": (
        "is a public key in the form of PEM (PKCS #1): `ssh-keygen -i -m PEM -f {file} > {pub}` converts it, "
        "KEY={pub} names the result"
    ),
    r"-----BEGIN PUBLIC KEY-----\s+MCowBQYDK2Vw": (
        "is an ed25519 key in the form of PEM (PKCS #8), which ssh-keygen does not convert; `ssh-keygen -t ed25519` "
        "creates a pair in OpenSSH's format"
    ),
    r"-----BEGIN PUBLIC KEY-----": (
        "is a public key in the form of PEM (PKCS #8): `ssh-keygen -i -m PKCS8 -f {file} > {pub}` converts it, "
        "KEY={pub} names the result"
    ),
    r"-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----": (
        "is an X.509 certificate: `openssl x509 -in {file} -noout -pubkey | ssh-keygen -i -m PKCS8 -f /dev/stdin > "
        "{pub}` takes the key out of it, KEY={pub} names that"
    ),
    r"-----BEGIN PGP P(UBLIC|RIVATE) KEY BLOCK-----": (
        "is a PGP key: `gpg --export-ssh-key KEY-ID > {pub}` writes the part of it that logs in, KEY={pub} names that"
    ),
    r"^age1[0-9a-z]{50,}|\bAGE-SECRET-KEY-|BEGIN AGE ENCRYPTED": (
        "is an age key, which encrypts files and is not for logins; `ssh-keygen -t ed25519` creates one that is"
    ),
    r"-----BEGIN ([A-Z0-9 ]{1,40})-----": "is not a public key, but another PEM file",
    r"^\s*<(?i:!doctype|html|head|\?xml)\b": "is a web page, not a key; take the raw text",
    r"^(\d+ )?(SHA256|MD5):\S+": "is the fingerprint of a key, not the key: use the line in the .pub file",
    r"^\d{3,5} \d{1,10} \d{100,}": (
        "is a key of ssh's protocol 1, which is no longer supported; `ssh-keygen -t ed25519` creates a new one"
    ),
}
"""Formats that are mistaken for a public key, by a typical part of their content, with the way to convert them."""


def keys_given(key: str) -> list[str]:
    """Return the public keys in KEY, which is a path or a key. Raises UserError."""
    is_text = "\n" in key or any(re.search(form, key) for form in FORMATS)
    if is_text or key.strip().startswith(tuple(f"{kind} " for kind in KEY_FIELDS)):
        return keys_in(key, "KEY")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", key):
        shown = "…" if secret_in(key) else shlex.quote(key)
        raise UserError(
            f"KEY: is a URL, which is not downloaded: run `curl -fsS {shown} -o keys.pub`, check whose keys they "
            "are, then use KEY=keys.pub"
        )
    path = Path(key).expanduser()
    try:
        content = read_content(path)
    except OSError as problem:
        shown = "…" if re.fullmatch(r"[A-Za-z0-9+/=]{64,}", key) else str(path)  # may be part of a private key
        raise UserError(f"KEY: {shown}: {_unreadable(path, problem)}") from problem
    return keys_in(content, f"KEY: {path}", path)


def keys_in(content: bytes | str, shown_as: str, path: Path | None = None) -> list[str]:
    """Return the distinct public keys in a file's content. Raises UserError that names the line.

    Empty lines and lines that begin with # are skipped, as in an authorized_keys file.
    """
    text = content if isinstance(content, str) else _decoded(content, shown_as)
    if not text.strip():
        raise UserError(f"{shown_as}: is empty")
    for form, words in FORMATS.items():
        if re.search(form, text, re.MULTILINE):
            raise UserError(f"{shown_as}: {_way(words, path)}")
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", text)]
    keys: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if line and not line.startswith("#"):
            key = _key_of(line, lines[number : number + 1], f"{shown_as}:{number}" if len(lines) > 1 else shown_as)
            keys.setdefault(fingerprint(key), key)
    if not keys:
        raise UserError(f"{shown_as}: holds comments, but no key")
    return list(keys.values())


def _key_of(line: str, following: list[str], shown_as: str) -> str:
    try:
        return public_key(line)
    except ValueError as problem:
        cut = "is not a whole" in str(problem) and any(
            re.fullmatch(r"[A-Za-z0-9+/]+={0,2}( .*)?", n) for n in following
        )
        why = "is cut off: the key continues on the next line; write it on one line" if cut else problem
        raise UserError(f"{shown_as}: {why}") from problem


def _decoded(content: bytes, shown_as: str) -> str:
    """Return a file's text. An invalid byte in a comment does not invalidate a key."""
    for mark, encoding in ENCODINGS.items():
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    if b"\0" not in content:
        return content.decode("utf-8", errors="replace")
    for encoding, ascii_bytes in {"utf-16-le": content[::2], "utf-16-be": content[1::2]}.items():
        if b"\0" not in ascii_bytes:
            return content.decode(encoding, errors="replace")
    raise UserError(f"{shown_as}: is a binary file; an OpenSSH public key is a line of text (ssh-ed25519 AAAA…)")


def _way(words: str, path: Path | None) -> str:
    if path is None:
        return words.partition(":")[0]
    pub = path.with_name(f"{path.name.removesuffix('.pub')}.openssh.pub")
    if SHOW_PUBLIC in words:
        pub = path.with_name(f"{path.name}.pub")
        if exists(pub):
            return words.replace(SHOW_PUBLIC, "its public key is next to it: KEY={pub}").format(
                pub=shlex.quote(str(pub))
            )
    return words.format(file=shlex.quote(str(path)), pub=shlex.quote(str(pub)))


def _unreadable(path: Path, problem: OSError) -> str:
    if isinstance(problem, IsADirectoryError):
        found = sorted(path.glob("*.pub"))
        public = shlex.quote(str(found[0] if found else path / "id_ed25519.pub"))
        return f"is a directory; name the public key in it (KEY={public})"
    if isinstance(problem, FileNotFoundError):
        return f"there is no such file{did_you_mean(path.name, (file.name for file in path.parent.glob('*')))}"
    return f"can't be read: {problem.strerror}"
