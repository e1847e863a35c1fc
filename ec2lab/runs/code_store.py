"""Packed code, which may be in no repository: kept beside lab.toml by its digest, which the registry has.

In .code/, for nobody else's eyes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ec2lab.errors import UserError
from ec2lab.files import read_bytes, temp_file_beside
from ec2lab.private_files import private_directory

DIRECTORY = ".code"
LARGEST = 512 << 20
"""Bytes: no code is packed that comes to more (code_packing.py)."""


def keep(lab: Path, content: bytes) -> str:
    """Keep a content and return its SHA-256, in hexadecimal digits. Raises UserError."""
    digest = hashlib.sha256(content).hexdigest()
    path = lab / DIRECTORY / digest
    if kept(lab, digest) is not None:
        return digest
    try:
        private_directory(path.parent)
        with temp_file_beside(path, content, mode=0o600) as draft:
            draft.replace(path)
    except OSError as problem:
        raise UserError(
            f"{path.parent}: can't be written ({problem.strerror}); make room or set its rights"
        ) from problem
    return digest


def kept(lab: Path, digest: str) -> bytes | None:
    """Return what was kept under a digest; None where nothing is, or not that."""
    path = lab / DIRECTORY / digest
    try:
        content = read_bytes(path, LARGEST)
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == digest else None
