"""The values that records are made of, each as tight as whoever reads it needs, and no tighter.

These are pydantic's own schemas, written as it compiles them: to derive them from classes takes 30 ms, and each command
reads records.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from pydantic_core import CoreSchema, core_schema
from pydantic_core.core_schema import TypedDictField

from ec2lab.validators import NAME


def members(*, others: Literal["allow", "ignore"] = "allow", **fields: CoreSchema | TypedDictField) -> CoreSchema:
    """Return an object with these members. Any others may be anything: AWS adds some, and so do later versions."""
    return core_schema.typed_dict_schema(
        {name.rstrip("_"): _field(given) for name, given in fields.items()},
        extra_behavior=others,
        strict=True,
    )


def _field(given: Any) -> TypedDictField:
    field: TypedDictField = given if given["type"] == "typed-dict-field" else core_schema.typed_dict_field(given)
    return field


def optional(schema: CoreSchema) -> TypedDictField:
    """Return a member that may be left out."""
    return core_schema.typed_dict_field(schema, required=False)


def pattern(expression: str, longest: int | None = None) -> CoreSchema:
    """Return a text that an expression matches as a whole."""
    return core_schema.str_schema(pattern=f"^(?:{expression})$", max_length=longest, strict=True)


def checked(check: Callable[[str], Any], schema: CoreSchema) -> CoreSchema:
    """Return a text that `check` raises no ValueError for; it stays as it was."""

    def unchanged(text: str) -> str:
        check(text)
        return text

    return core_schema.no_info_after_validator_function(unchanged, schema)


def nullable(schema: CoreSchema) -> CoreSchema:
    """Return what may be null."""
    return core_schema.nullable_schema(schema)


def several(schema: CoreSchema) -> CoreSchema:
    """Return an array."""
    return core_schema.list_schema(schema, strict=True)


def mapping(schema: CoreSchema) -> CoreSchema:
    """Return an object whose values are all of one kind."""
    return core_schema.dict_schema(values_schema=schema, strict=True)


def whole(least: int, most: int) -> CoreSchema:
    """Return a whole number."""
    return core_schema.int_schema(ge=least, le=most, strict=True)


ANYTHING = core_schema.any_schema()
TEXT = core_schema.str_schema(strict=True)
BYTES = core_schema.bytes_schema(strict=True)
YES_OR_NO = core_schema.bool_schema(strict=True)
LINE = core_schema.str_schema(max_length=500, strict=True)
COUNT = whole(0, 10**6)
"""How many instances are asked for; AWS gives a thousand in a request."""
AMOUNT = core_schema.float_schema(ge=0, le=2**63, allow_inf_nan=False)
"""A size, a rate, a number of things: what can be reckoned with."""
MOMENT = checked(
    datetime.fromisoformat,
    pattern(r"(19|2[01])[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"),
)
"""RFC 3339 with its offset: without one, Python takes a time for this computer's own. Of years that can be added to."""
NAME_OF_FILE = pattern(NAME)
EXPERIMENT = pattern(r"[a-z0-9][a-z0-9_-]*", 128)
"""Longer than a name may be by what the lab puts before one: build-speech pulls the dataset speech."""
TYPE_NAME = pattern(r"[a-z0-9][a-z0-9-]*", 63)
"""A resource type's, which may be one of a plugin that is not installed here."""
AREA = pattern(r"|[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
"""A region becomes a part of a host's name, and botocore takes what may be one (RFC 1123); `global`, or nothing."""
INSTANCE_ID = pattern(r"i-[0-9a-z]+", 40)
RESOURCE_ID = pattern(r"[A-Za-z0-9][!-)+->@-~]*", 1024)
"""An id, or the name or ARN of what has none; in a filter of AWS's, * and ? would stand for others."""
RECORD_ID = pattern(r"[0-9a-f]{32}")
DIGEST = pattern(r"[0-9a-f]{64}")
COMMIT = pattern(r"[0-9a-f]{40}([0-9a-f]{24})?")
"""An argument of git: nothing that could be taken for an option."""
