"""The form of registry.json, and what can be kept of a file that lost it.

The form is `[`, one record per line, `]`. These are pure functions over the file's bytes; `registry` reads and writes.
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
"""How every registry with a record begins, and no indented or one-line array does."""

_FIRST_RECORD_BEGINS = b'[\n{"event":"'
_PUNCTUATION = b",] \t\r\n"
_PERHAPS_INFINITE = re.compile(rb"[eE]\+?[0-9]{3,}\s*[,}\]]")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def as_line(fields: dict[str, Any]) -> bytes:
    r"""Return a record as one line of ASCII, without its newline.

    Everything else is escaped (`\u00fc`), so any str can be written, even a lone surrogate out of a file name, and no
    tool finds a line separator inside a record. Raises ValueError for NaN and TypeError for what JSON has no word for.
    """
    return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode("ascii")


def is_blank(document: bytes) -> bool:
    """Tell whether this is a registry without a record, finished or not: nothing, `[` or `[]`."""
    return b"".join(document.split()) in (b"", b"[", b"[]")


def parsed(text: bytes) -> Any:
    """Return what the JSON says. Raises ValueError if it is not whole, not UTF-8, not JSON, or nested too deeply."""
    try:
        loaded = from_json(text, allow_inf_nan=False)
    except ValueError:
        loaded = _with_surrogates(text)
    if _PERHAPS_INFINITE.search(text):
        json.dumps(loaded, allow_nan=False)  # 1e999 is JSON, and no number that could be written down again
    return loaded


def _with_surrogates(text: bytes) -> Any:
    """Parse JSON with lone surrogates, which a file's name may have; the errors name their line."""
    try:
        loaded = json.loads(text.decode())
    except RecursionError as problem:
        raise ValueError("is nested too deeply") from problem
    from_json(_SURROGATE.sub(rb"\\ufffd", text), allow_inf_nan=False)
    return loaded


def is_json(text: bytes) -> bool:
    """Tell whether this is one whole JSON document."""
    try:
        parsed(text)
    except ValueError:
        return False
    return True


def records_in(document: bytes, path: Path) -> list[Any]:
    """Return every whole record as plain JSON, in any layout, without a torn last line.

    Raises UserError if the file is not a registry, or damaged elsewhere.
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
    """Tell whether each of so many records has a line of its own, the first below the `[`."""
    return document.startswith(FIRST_BYTES) and document.count(b"\n") == records + 2


def normalize(document: bytes, path: Path) -> bytes:
    """Return the same records, at least one, a line each. Raises UserError if the document is no registry."""
    return b"[\n" + b",\n".join(map(as_line, records_in(document, path))) + TRAILER


def valid_prefix_length(document: bytes, path: Path) -> int:
    """Return how many bytes of a document that is not JSON reach to the end of its last whole record (1: to the `[`).

    What follows was torn by a kill (it is unfinished) or by a power loss (it has zeros where blocks are missing), and
    its append never returned. Anything else, such as a slip in an editor, raises UserError: it may hide a record that
    counts, and cutting it off would forget an instance that runs.
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
    """Return where the last whole record that begins a line ends, before its comma; 0 if there is none."""
    stop = len(document)
    while stop > 0:
        start = document.rfind(b"\n", 0, stop) + 1
        if length := _length_of_record(document[start:stop]):
            return start + length
        stop = start - 1
    return 0


def _length_of_record(line: bytes) -> int:
    """Return how many bytes of the line are a whole record; 0 if it begins with none.

    Zeros or other bytes may follow where an append was torn. Latin-1 makes each byte a character, which JSON bears.
    """
    try:
        fields, length = json.JSONDecoder().raw_decode(line.decode("latin-1"))
    except (ValueError, RecursionError):
        return 0
    return length if isinstance(fields, dict) and "event" in fields else 0


def _begins_as_ours(document: bytes, end: int) -> bool:
    """Tell whether we wrote this: an array with a whole record in it, or the first bytes of a torn first one."""
    if end:
        return document.startswith(b"[")
    begun = document.split(b"\0", 1)[0].rstrip(b"\n")[: len(_FIRST_RECORD_BEGINS)]
    return begun != b"" and _FIRST_RECORD_BEGINS.startswith(begun)


def _hand_edited(rest: bytes) -> bool:
    """Tell whether the rest is a damaged record in a finished document without zeros, which no torn append leaves."""
    return rest.strip(_PUNCTUATION) != b"" and rest.rstrip().endswith(b"\n]") and b"\0" not in rest


def _line_of(error: ValueError, document: bytes) -> int:
    if isinstance(error, json.JSONDecodeError):
        return error.lineno
    return document.count(b"\n", 0, getattr(error, "start", 0)) + 1


def _damaged(path: Path, line: int) -> UserError:
    return UserError(f"{path}: line {line} is damaged; nothing was changed; fix it by hand or restore a copy")


def no_record(path: Path, first: SetAside) -> UserError:
    """Return what is said of an array in which nothing is a record of ours."""
    return UserError(
        f"{path}: nothing in it is a registry record ({first.where.rpartition(': ')[2]}: {first.problem}); nothing was "
        "changed; fix it by hand, or restore a copy"
    )


def _not_a_registry(path: Path) -> UserError:
    return UserError(
        f"{path}: is not a registry (a JSON array of records); nothing was changed; move it away, "
        "or name another `registry` in lab.toml"
    )
