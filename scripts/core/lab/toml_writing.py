"""Writing TOML that people edit: their comments and formatting stay, and what could not be read never takes its place.

A file is written beside its place, read back through the model that every command reads it by, and only then put there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from scripts.core.errors import LabError
from scripts.core.lab.toml_file import load
from scripts.core.whole_file import drafted, read_content


def toml_text(value: Any) -> str:
    """Return a value as TOML writes it, on one line."""
    import tomlkit  # 30 ms

    return str(tomlkit.item(value).as_string())


def document_text(values: Mapping[str, Sequence[str]]) -> str:
    """Return a TOML document of these lists; one of several texts has a line for each."""
    import tomlkit

    document = tomlkit.document()
    for key, texts in values.items():
        array = tomlkit.array()
        array.extend(texts)
        document[key] = array.multiline(len(texts) > 1)
    return tomlkit.dumps(document)


def write_new(path: Path, text: str, model: type[BaseModel], *, shown_as: str) -> None:
    """Write a file that is not there yet. Raises LabError where it is, or could not be read as `model`."""
    try:
        path.parent.mkdir(exist_ok=True)
        with _readable_draft(path, text, model, shown_as) as draft:
            os.link(draft, path)  # whole, and never over another
    except FileExistsError as problem:
        raise LabError(f"{shown_as}: exists already; edit it, or take another name") from problem
    except OSError as problem:
        raise LabError(f"{shown_as}: can't be written: {problem.strerror}") from problem


def rewrite(path: Path, before: str, after: str, model: type[BaseModel], *, shown_as: str) -> None:
    """Put a text in the place of the one that a file had. Raises LabError, also where somebody changed it meanwhile."""
    try:
        place = path.resolve()  # git may have brought a link
        with _readable_draft(place, after, model, shown_as) as draft:
            draft.chmod(stat.S_IMODE(place.stat().st_mode))
            if read_content(place).decode("utf-8-sig") != before:
                raise LabError(f"{shown_as}: was changed meanwhile; run the command again")
            draft.replace(place)
    except OSError as problem:
        raise LabError(f"{shown_as}: can't be written: {problem.strerror}") from problem


@contextmanager
def _readable_draft(path: Path, text: str, model: type[BaseModel], shown_as: str) -> Iterator[Path]:
    with drafted(path, text.encode()) as draft:
        load(draft, model, shown_as=shown_as)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        yield draft
