"""A file that is written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from scripts.core.errors import LabError


def place_for(path: str, variable: str) -> Path:
    """Return where a file is to be written, links followed. Raises LabError, naming `variable`, where none can be."""
    place = Path(os.path.realpath(path))
    if os.path.exists(place) and not place.is_file():  # noqa: PTH110 - Path.exists raises for a name that is too long
        raise LabError(f"{variable}: {path} is not a file; name one ({variable}=report.html)")
    if not place.parent.is_dir():
        raise LabError(f"{variable}: there is no directory {place.parent}; make it, or name another place")
    if not os.access(place.parent, os.W_OK | os.X_OK):
        raise LabError(f"{variable}: you may not write into {place.parent}; name another place")
    return place


def write_whole(place: Path, text: str, variable: str) -> None:
    """Put a text in the place of what stands there, in one step: who reads it meanwhile has the old or the new one.

    Raises LabError.
    """
    draft = place.with_name(f".{place.name[:200]}.{os.getpid()}")
    try:
        try:
            with draft.open("x", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(place)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as problem:
        raise LabError(f"{variable}: {place} can't be written: {problem.strerror}; name another place") from problem
