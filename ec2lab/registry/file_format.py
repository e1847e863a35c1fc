"""The format of registry.json, and the recovery of a damaged file. Pure functions over bytes.

The format is `[`, one record per line, `]`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from ec2lab.errors import UserError
from ec2lab.registry.base import SetAside

TRAILER = b"\n]\n"
EMPTY = b"[" + TRAILER
FIRST_BYTES = b'[\n{"'
"""The first bytes of every registry with a record. No indented or one-line array begins like this."""

_FIRST_RECORD_BEGINS = b'[\n{"event":"'
_PUNCTUATION = b",] \t\r\n"
_PERHAPS_INFINITE = re.compile(rb"[eE]\+?[0-9]{3,}\s*[,}\]]")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def as_line(fields: dict[str, Any]) -> bytes:
    r"""Return a record as one line of ASCII, without a newline.

    Everything else is escaped (`\u00fc`), so any str can be written, even a lone surrogate from a file name, and no
    tool finds a line separator in a record. Raises ValueError for NaN, and TypeError for what JSON cannot represent.
    """
    return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode("ascii")


def is_blank(document: bytes) -> bool:
    """Return whether the document is a registry without records, complete or not: nothing, `[` or `[]`."""
    return b"".join(document.split()) in (b"", b"[", b"[]")


def parsed(text: bytes) -> Any:
    """Return the parsed JSON. Raises ValueError if it is incomplete, not UTF-8, not JSON, or nested too deeply."""
    try:
        loaded = from_json(text, allow_inf_nan=False)
    except ValueError:
        loaded = _with_surrogates(text)
    if _PERHAPS_INFINITE.search(text):
        json.dumps(loaded, allow_nan=False)  # 1e999 is valid JSON, but cannot be written again
    return loaded


def _with_surrogates(text: bytes) -> Any:
    """Parse JSON with lone surrogates, which file names may contain. Errors name their line."""
    try:
        loaded = json.loads(text.decode())
    except RecursionError as problem:
        raise ValueError("is nested too deeply") from problem
    from_json(_SURROGATE.sub(rb"\\ufffd", text), allow_inf_nan=False)
    return loaded


def is_json(text: bytes) -> bool:
    try:
        parsed(text)
    except ValueError:
        return False
    return True


def records_in(document: bytes, path: Path) -> list[Any]:
    """Return all complete records as plain JSON, in any layout, without a torn last line.

    Raises UserError if the file is not a registry, or is damaged elsewhere.
    """
    if is_blank(document):
        return []
    try:
        loaded = parsed(document)
    except ValueError:
        loaded = parsed(document[: valid_prefix_length(document, path)] + TRAILER)
    if not isinstance(loaded, list):
        raise _not_a_registry(path)
    return loaded


def has_lines(document: bytes, records: int) -> bool:
    """Return whether each of `records` records has its own line, the first after the `[`."""
    return document.startswith(FIRST_BYTES) and document.count(b"\n") == records + 2


def normalize(document: bytes, path: Path) -> bytes:
    """Return the same records, at least one, one per line. Raises UserError if the document is not a registry."""
    return b"[\n" + b",\n".join(map(as_line, records_in(document, path))) + TRAILER


def valid_prefix_length(document: bytes, path: Path) -> int:
    """Return the length of a damaged document up to the end of its last complete record (1: up to the `[`).

    The rest was torn by a kill (it is incomplete) or a power failure (it has zeros where blocks are missing), and its
    append never returned. Anything else, such as an error in an editor, raises UserError: it may hide a valid record,
    and truncating it could lose a running instance.
    """
    end = _end_of_last_record(document)
    if not _begins_as_ours(document, end):
        raise _not_a_registry(path)
    try:
        parsed(document[: max(end, 1)] + TRAILER)
    except ValueError as error:
        raise _damaged(path, _line_of(error, document)) from error
    if _hand_edited(document[end:]):
        begin = len(document) - len(document[max(end, 1) :].lstrip(_PUNCTUATION))
        raise _damaged(path, document.count(b"\n", 0, begin) + 1)
    return max(end, 1)


def _end_of_last_record(document: bytes) -> int:
    """Return the end of the last complete record that begins a line, before its comma; 0 if there is none."""
    stop = len(document)
    while stop > 0:
        start = document.rfind(b"\n", 0, stop) + 1
        if length := _length_of_record(document[start:stop]):
            return start + length
        stop = start - 1
    return 0


def _length_of_record(line: bytes) -> int:
    """Return the length of the complete record at the start of a line; 0 if there is none.

    Zeros or other bytes may follow in a torn append. Latin-1 decodes any byte, and JSON accepts the result.
    """
    try:
        fields, length = json.JSONDecoder().raw_decode(line.decode("latin-1"))
    except (ValueError, RecursionError):
        return 0
    return length if isinstance(fields, dict) and "event" in fields else 0


def _begins_as_ours(document: bytes, end: int) -> bool:
    """Return whether the lab wrote this: an array with a complete record, or the start of a torn first one."""
    if end:
        return document.startswith(b"[")
    begun = document.split(b"\0", 1)[0].rstrip(b"\n")[: len(_FIRST_RECORD_BEGINS)]
    return begun != b"" and _FIRST_RECORD_BEGINS.startswith(begun)


def _hand_edited(rest: bytes) -> bool:
    """Return whether the rest is damage in a finished document without zeros, which no torn append leaves."""
    return rest.strip(_PUNCTUATION) != b"" and rest.rstrip().endswith(b"\n]") and b"\0" not in rest


def _line_of(error: ValueError, document: bytes) -> int:
    if isinstance(error, json.JSONDecodeError):
        return error.lineno
    return document.count(b"\n", 0, getattr(error, "start", 0)) + 1


def _damaged(path: Path, line: int) -> UserError:
    return UserError(f"{path}: line {line} is damaged; nothing was changed; fix it by hand or restore a copy")


def no_record(path: Path, first: SetAside) -> UserError:
    """Return the error for an array without any valid record."""
    return UserError(
        f"{path}: nothing in it is a registry record ({first.where.rpartition(': ')[2]}: {first.problem}); nothing was "
        "changed; fix it by hand, or restore a copy"
    )


def _not_a_registry(path: Path) -> UserError:
    return UserError(
        f"{path}: is not a registry (a JSON array of records); nothing was changed; move it away, "
        "or name another `registry` in lab.toml"
    )
