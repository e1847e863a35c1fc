"""A file that is written whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
