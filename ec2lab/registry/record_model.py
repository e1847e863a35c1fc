"""Validates records when they are read: their content is used in names, paths, regions, ids and sums.

Records come from a file that people may edit, and from a table that a team writes. Unused content is not validated:
members that AWS adds to its responses, and fields of later versions.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import CoreSchema, SchemaValidator, ValidationError, core_schema

from ec2lab.registry.shapes import (
    ANNOTATION,
    ANYTHING,
    AREA,
    ASKED_ONLY,
    ERROR,
    EXPERIMENT,
    LINE,
    MOMENT,
    RECORD_ID,
    REQUEST,
    RESPONSES,
    mapping,
    members,
    optional,
    pattern,
    whole,
)

EVENTS = ("intent", "response", "error", "repeated", "annotation")
RECORD = members(
    event=core_schema.literal_schema(list(EVENTS)), id=RECORD_ID, time=MOMENT, format=optional(whole(1, 999)),
    partition=optional(pattern("[a-z-]+", 40)), account=optional(pattern("[0-9]{12}")),
    parent_id=optional(RECORD_ID), experiment=optional(EXPERIMENT), script=optional(LINE), actor=optional(LINE),
    service=optional(LINE), region=optional(AREA), operation=optional(pattern("[A-Za-z0-9]+", 128)),
    request=optional(mapping(ANYTHING)), response=optional(mapping(ANYTHING)), error=optional(ERROR),
    request_id=optional(LINE), times=optional(whole(0, 2**53)), annotation=optional(ANNOTATION), others="ignore",
)  # fmt: skip
SHOWN = 60  # characters of a refused value that an error repeats


class BadRecord(ValueError):
    """Why something is not a valid record: `response.Instances[0].InstanceId: is missing`."""


def validated(loaded: Any) -> dict[str, Any]:
    """Return the known fields of a record that was read. Raises BadRecord."""
    fields: dict[str, Any] = held_to(RECORD, loaded)
    operation = fields.get("operation")
    if operation in RESPONSES and (fields["event"] == "response" or "response" in fields):
        held_to(RESPONSES[operation], fields.get("response"), "response")
    if "request" in fields and (operation in RESPONSES or operation in ASKED_ONLY):
        held_to(REQUEST, fields["request"], "request")
    return fields


def held_to(schema: CoreSchema, value: Any, within: str = "") -> Any:
    """Return a value that matches a schema of this module. Raises BadRecord that names the member."""
    try:
        compiled = _compiled.get(id(schema)) or _compiled.setdefault(id(schema), SchemaValidator(schema))
        return compiled.validate_python(value)
    except ValidationError as problem:
        raise BadRecord(_in_words(problem, within)) from problem


_compiled: dict[int, SchemaValidator] = {}
"""By schema, which is never freed; compiled on first use, because a command needs few."""


def _in_words(problem: ValidationError, within: str) -> str:
    first = problem.errors(include_url=False)[0]
    steps = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in (within, *first["loc"]) if part != "")
    where = "".join(steps).removeprefix(".")
    if first["type"] == "missing":
        return f"{where}: is missing"
    value = repr(first["input"])
    shown = value if len(value) <= SHOWN else f"{value[:SHOWN]}…"
    wanted = first["msg"].removeprefix("Input ").removeprefix("Value error, ")
    return f"{where}: {wanted[0].lower()}{wanted[1:]}: {shown}".removeprefix(": ")
