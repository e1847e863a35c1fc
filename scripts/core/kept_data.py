"""Data that takes a moment to make, kept in .cache: whole and undamaged, or made again."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any

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
    unfinished = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
    unfinished.write_bytes(_digest(content) + b"\n" + content)
    unfinished.replace(path)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
