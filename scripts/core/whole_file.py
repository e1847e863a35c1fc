"""A file that is written whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.core.errors import LabError


@contextmanager
def drafted(path: Path, content: bytes, *, mode: int = 0o666) -> Iterator[Path]:
    """Give a file beside `path` that holds a content, to be put in its place; afterwards it is gone, come what may.

    Raises OSError.
    """
    draft = path.with_name(f".{path.name[:200]}.{os.getpid()}-{threading.get_ident()}")
    try:
        draft.unlink(missing_ok=True)  # of one who died, and was called the same
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def exists(path: Path) -> bool:
    """Return whether there is anything at a path, a dangling link not counted.

    Raises OSError where that can't be seen: Path.exists() answers False for that since Python 3.14
    (https://docs.python.org/3.14/library/pathlib.html#pathlib.Path.exists), and a registry in a directory that may not
    be entered would look like an empty one.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


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
    try:
        with drafted(place, text.encode()) as draft:
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            draft.replace(place)
    except OSError as problem:
        raise LabError(f"{variable}: {place} can't be written: {problem.strerror}; name another place") from problem
