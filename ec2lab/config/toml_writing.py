"""Writing TOML that people edit: their comments and formatting stay, and what could not be read never takes its place.

A file is written beside its place, read back through the model that every command reads it by, and only then put there.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel

from ec2lab.config.toml_files import load
from ec2lab.errors import UserError
from ec2lab.files import read_text, temp_file_beside

if TYPE_CHECKING:
    import tomlkit.items


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


def with_texts(document: str, key: str, texts: Sequence[str]) -> tuple[str, bool]:
    """Return a TOML document with more texts in a list of it, all else as it was, and whether they are its last.

    They go to its end, unless tomlkit would write them into a comment that stands there: then to its beginning.
    """
    import tomlkit

    for is_last in (True, False):
        changed = tomlkit.parse(document)
        array = cast("tomlkit.items.Array", changed[key])
        for number, text in enumerate(texts):
            array.insert(len(array) if is_last else number, text)
        if not is_last or _list_in(tomlkit.dumps(changed), key) == [*_list_in(document, key), *texts]:
            break
    return tomlkit.dumps(changed), is_last


def _list_in(document: str, key: str) -> list[Any]:
    try:
        return list(tomllib.loads(document)[key])
    except tomllib.TOMLDecodeError:
        return []


def write_new(path: Path, text: str, model: type[BaseModel], *, shown_as: str, says: BaseModel | None = None) -> None:
    """Write a file that is not there yet. Raises UserError where it is, or is not read as a `model` that `says`
    this.
    """  # noqa: D205
    try:
        path.parent.mkdir(exist_ok=True)
        with _readable_draft(path, text, model, shown_as, says) as draft:
            os.link(draft, path)  # whole, and never over another
    except FileExistsError as problem:
        raise UserError(f"{shown_as}: exists already; edit it, or take another name") from problem
    except OSError as problem:
        raise UserError(f"{shown_as}: can't be written: {problem.strerror}") from problem


def rewrite(path: Path, before: str, after: str, says: BaseModel, *, shown_as: str) -> None:
    """Put a text that `says` this in the place of the one that a file had.

    Raises UserError, also where somebody changed the file meanwhile.
    """
    try:
        place = path.resolve()  # git may have brought a link
        with _readable_draft(place, after, type(says), shown_as, says) as draft:
            draft.chmod(stat.S_IMODE(place.stat().st_mode))
            if read_text(place) != before:
                raise UserError(f"{shown_as}: was changed meanwhile; run the command again")
            draft.replace(place)
    except OSError as problem:
        raise UserError(f"{shown_as}: can't be written: {problem.strerror}") from problem


@contextmanager
def _readable_draft(
    path: Path, text: str, model: type[BaseModel], shown_as: str, says: BaseModel | None
) -> Iterator[Path]:
    with temp_file_beside(path, text.encode()) as draft:
        if load(draft, model, shown_as=shown_as) != says and says is not None:
            raise UserError(f"{shown_as}: could not be written so that it reads as it is meant; edit it by hand")
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        yield draft
