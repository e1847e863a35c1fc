"""Data that takes a moment to make, kept in .cache: whole and undamaged, or made again."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from ec2lab.files import PRIVATE_FILE, is_trustworthy, private_directory, temp_file_beside

CACHE = Path(__file__).parents[1] / ".cache"


def read(path: Path) -> Any:
    """Return what `write` left in a file; None where there is none, it is damaged, or others can have written it."""
    try:
        with path.open("rb") as file:
            if not is_trustworthy(os.fstat(file.fileno())):
                return None
            digest, _, content = file.read().partition(b"\n")
    except OSError:  # it is made again, whatever keeps us from it
        return None
    return json.loads(content) if digest == _digest(content) else None


def write(path: Path, data: Any) -> None:
    """Leave data in a file, whole or not at all, behind its digest. Raises OSError."""
    content = json.dumps(data, separators=(",", ":")).encode()
    private_directory(path.parent, top=next((p for p in path.parents if p.name == CACHE.name), path.parent))
    with temp_file_beside(path, _digest(content) + b"\n" + content, mode=PRIVATE_FILE) as draft:
        draft.replace(path)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
