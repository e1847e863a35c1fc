"""Data that takes a moment to make, kept in .cache: whole and undamaged, or made again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from scripts.core.whole_file import drafted

CACHE = Path(__file__).parents[2] / ".cache"


def read(path: Path) -> Any:
    """Return what `write` left in a file; None where there is none, or where it is damaged."""
    try:
        digest, _, content = path.read_bytes().partition(b"\n")
    except OSError:  # it is made again, whatever keeps us from it
        return None
    return json.loads(content) if digest == _digest(content) else None


def write(path: Path, data: Any) -> None:
    """Leave data in a file, whole or not at all, behind its digest. Raises OSError."""
    content = json.dumps(data, separators=(",", ":")).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with drafted(path, _digest(content) + b"\n" + content) as draft:
        draft.replace(path)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
