"""A cache in .cache for data that takes a moment to compute, with checksums."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from ec2lab.files import PRIVATE_FILE, is_trustworthy, private_directory, temp_file_beside

CACHE = Path(__file__).parents[1] / ".cache"


def read(path: Path) -> Any:
    """Return what `write` stored; None where it is missing, damaged, or writable by others."""
    try:
        with path.open("rb") as file:
            if not is_trustworthy(os.fstat(file.fileno())):
                return None
            digest, _, content = file.read().partition(b"\n")
    except OSError:  # it is computed again, whatever the reason
        return None
    return json.loads(content) if digest == _digest(content) else None


def write(path: Path, data: Any) -> None:
    """Store data with its digest, atomically. Raises OSError."""
    content = json.dumps(data, separators=(",", ":")).encode()
    private_directory(path.parent, top=next((p for p in path.parents if p.name == CACHE.name), path.parent))
    with temp_file_beside(path, _digest(content) + b"\n" + content, mode=PRIVATE_FILE) as draft:
        draft.replace(path)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
