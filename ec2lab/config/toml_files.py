"""Reads TOML files into models, with one-line errors, and writes them as people edit them.

Comments and formatting are kept. A file is written next to its destination and read back through its model before it
replaces the original, so an unreadable file never does.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ec2lab.errors import UserError
from ec2lab.files import exists, read_text, temp_file_beside
from ec2lab.secret_detection import names_a_secret, secret_in
from ec2lab.validators import did_you_mean

if TYPE_CHECKING:
    import tomlkit.items

TABLES_OF_SECRETS = ("secrets", "notify")
"""A line of theirs is not repeated: it may hold a secret, or a webhook's address, that was meant to be elsewhere."""
WIDEST_LINE = 200  # longest line, in characters, that an error repeats
Model = TypeVar("Model", bound=BaseModel)


def load(path: Path, model: type[Model], *, shown_as: str, defaults: Mapping[str, Any] | None = None) -> Model:
    """Read `path` as `model`, with `defaults` for missing keys.

    Raises UserError: `shown_as: key: what is wrong (what would be valid)`.
    """
    return checked({**(defaults or {}), **read(path, shown_as=shown_as)}, model, shown_as=shown_as)


def is_there(path: Path, *, shown_as: str) -> bool:
    """Return whether a file exists. Raises UserError if that cannot be determined."""
    try:
        return exists(path)
    except OSError as problem:
        raise UserError(f"{shown_as}: can't be read: {problem.strerror}") from problem


def read(path: Path, *, shown_as: str) -> dict[str, Any]:
    """Read `path` as written. Raises UserError."""
    text = ""
    try:
        text = read_text(path)
        return tomllib.loads(text)
    except OSError as problem:
        raise UserError(f"{shown_as}: can't be read: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        wide = problem.object[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        which = "is UTF-16, as PowerShell's > writes it; save it as UTF-8" if wide else "not a UTF-8 text file"
        raise UserError(f"{shown_as}: {which}") from problem
    except RecursionError as problem:
        raise UserError(f"{shown_as}: not TOML: is nested too deeply") from problem
    except ValueError as problem:  # TOMLDecodeError, and Python's error for a number of 5,000 digits
        raise _not_toml(shown_as, text, str(problem).partition(";")[0]) from problem


def _not_toml(shown_as: str, text: str, complaint: str) -> UserError:
    """Return the error for invalid TOML: `FILE:LINE: …`, with the line and a caret below it as notes."""
    if not (found := re.search(r" \(at line (\d+), column (\d+)\)", complaint)):
        return UserError(f"{shown_as}: not TOML: {complaint}")
    number, column = int(found[1]), int(found[2])
    lines = text.splitlines()
    line = "".join(lines[number - 1 : number])
    is_secret = _may_tell_a_secret(line) or _table(lines[:number]) in TABLES_OF_SECRETS
    unquoted = complaint.startswith("Invalid value") and not is_secret
    hint = _odd(line, column) or (_unquoted(line, column) if unquoted else "")
    error = UserError(f"{shown_as}:{number}: not TOML: {complaint[: found.start()]}{hint}")
    if not is_secret and len(line) <= WIDEST_LINE:
        error.add_note(line)
        error.add_note(" " * (column - 1) + "^")
    return error


def _may_tell_a_secret(line: str) -> bool:
    """Say whether a line holds what looks like a secret, or sets what is called like one."""
    return bool(secret_in(line)) or names_a_secret(line.partition("=")[0])


def _table(lines: Sequence[str]) -> str:
    """Return the first part of the name of the table that the last line belongs to, or of its key at the top."""
    headers = [found[1] for line in lines if (found := re.match(r"\s*\[+\s*[\"']?(\w+)", line))]
    return headers[-1] if headers else "".join(re.findall(r"^\s*(\w+)", lines[-1] if lines else ""))


def _unquoted(line: str, column: int) -> str:
    """Return a hint if an unquoted word is where a value begins."""
    word = re.match(r"[A-Za-z][\w./:-]*", line[column - 1 :])
    return f': text needs quotes: "{word[0]}"' if word else ""


def _odd(line: str, column: int) -> str:
    """Return the non-ASCII character at which a line stops being TOML, as chats and web pages insert them."""
    # For a special space, the error is at the character after it.
    odd = [c for c in line[max(column - 2, 0) : column] if not c.isascii()]
    quotes = 'use a straight "' if set(odd) & set("\u201c\u201d\u201e\u00ab\u00bb") else "write it again"
    return f": there is {odd[-1]!r} (U+{ord(odd[-1]):04X}), {quotes}" if odd else ""


def checked(written: Mapping[str, Any], model: type[Model], *, shown_as: str) -> Model:
    try:
        return model.model_validate(written)
    except ValidationError as problem:
        first, *others = _lines(problem, model)
        raise UserError(f"{shown_as}: {first}{f' (and {len(others)} more)' if others else ''}") from problem


def complaints(error: UserError, model: type[BaseModel], *, shown_as: str) -> list[str]:
    """Return all errors in a file that is no valid `model`, one line each."""
    if isinstance(error.__cause__, ValidationError):
        return [f"{shown_as}: {line}" for line in _lines(error.__cause__, model)]
    return [str(error)]


def _lines(problem: ValidationError, model: type[BaseModel]) -> list[str]:
    # A misspelled key causes two errors, unknown and missing. The unknown one is more helpful.
    errors = sorted(problem.errors(), key=lambda error: error["type"] != "extra_forbidden")
    return [
        f"{key}: {_complaint(error, model)}" if (key := _key(error["loc"])) else _complaint(error, model)
        for error in errors
    ]


def _key(location: tuple[int | str, ...]) -> str:
    """Return `data[0].mount` for ("data", 0, "mount"). pydantic marks an error about a key itself with "[key]"."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location if part != "[key]")
    return "".join(parts).removeprefix(".")


def _complaint(error: ErrorDetails, model: type[BaseModel]) -> str:
    section = _section(model, error["loc"][:-1])
    last = str(error["loc"][-1]) if error["loc"] else ""
    match error["type"]:
        case "extra_forbidden":
            known = list(section.model_fields) if section else []
            return f"unknown key{did_you_mean(last, known) or _known(known)}"
        case "missing":
            return f"is missing{_example(section, last)}"
        case "value_error":
            return str(error["ctx"]["error"])
        case "too_short":
            return f"is empty{_example(section, last)}"
    wanted = error["msg"].removeprefix("Input ")
    return f"{wanted[0].lower()}{wanted[1:]}, not {_shown(error['input'])}{_example(section, last)}"


def _shown(value: Any) -> str:
    """Return a written value for an error, unless it is a misplaced secret."""
    kind = secret_in(str(value))
    return f"a text that holds {kind}" if kind else repr(value)


def _known(keys: list[str]) -> str:
    return f" (known here: {', '.join(keys)})" if keys else ""


def _example(section: type[BaseModel] | None, key: str) -> str:
    field = section.model_fields.get(key) if section else None
    if field is None or not field.examples:
        return ""
    return f" (try {key} = {_toml(field.examples[0])})"


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _section(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel] | None:
    """Return the model of the section at `location`; None if that is not a section."""
    section: Any = model
    for part in location:
        if isinstance(part, int):
            continue
        field = section.model_fields.get(part)
        if field is None:
            return None
        section = _model_in(field.annotation)
        if section is None:
            return None
    return section if isinstance(section, type) else None


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the only model in an annotation such as `list[Data]` or `Root | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = [_model_in(argument) for argument in getattr(annotation, "__args__", ())]
    return next((model for model in inner if model is not None), None)


def toml_text(value: Any) -> str:
    """Return a value as TOML, on one line."""
    import tomlkit  # 30 ms

    return str(tomlkit.item(value).as_string())


def document_text(values: Mapping[str, Sequence[str]]) -> str:
    """Return a TOML document with these lists; a list of several texts has one line for each."""
    import tomlkit

    document = tomlkit.document()
    for key, texts in values.items():
        array = tomlkit.array()
        array.extend(texts)
        document[key] = array.multiline(len(texts) > 1)
    return tomlkit.dumps(document)


def with_texts(document: str, key: str, texts: Sequence[str]) -> tuple[str, bool]:
    """Return a TOML document with texts added to one of its lists, and whether they were added at the end.

    They are added at the end, or at the beginning if tomlkit would write them into a trailing comment.
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
    """Write a new file. Raises UserError if it exists, or does not read back as `model` with the content of `says`."""
    try:
        path.parent.mkdir(exist_ok=True)
        with _readable_draft(path, text, model, shown_as, says) as draft:
            os.link(draft, path)  # complete, and never over an existing file
    except FileExistsError as problem:
        raise UserError(f"{shown_as}: already exists; edit it, or choose another name") from problem
    except OSError as problem:
        raise UserError(f"{shown_as}: can't be written: {problem.strerror}") from problem


def rewrite(path: Path, before: str, after: str, says: BaseModel, *, shown_as: str) -> None:
    """Replace a file's text with one that reads back as `says`.

    Raises UserError, also if the file was changed in the meantime.
    """
    try:
        place = path.resolve()  # git may have created a link
        with _readable_draft(place, after, type(says), shown_as, says) as draft:
            draft.chmod(stat.S_IMODE(place.stat().st_mode))
            if read_text(place) != before:
                raise UserError(f"{shown_as}: was changed in the meantime; run the command again")
            draft.replace(place)
    except OSError as problem:
        raise UserError(f"{shown_as}: can't be written: {problem.strerror}") from problem


@contextmanager
def _readable_draft(
    path: Path, text: str, model: type[BaseModel], shown_as: str, says: BaseModel | None
) -> Iterator[Path]:
    with temp_file_beside(path, text.encode()) as draft:
        if load(draft, model, shown_as=shown_as) != says and says is not None:
            raise UserError(f"{shown_as}: could not be rewritten correctly; edit it by hand")
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        yield draft
