"""What an instance says, or left in a bucket, is held to a form before anything is made of it: whoever has the instance
can have it say anything.
"""  # noqa: D205

from __future__ import annotations

from typing import Any

from pydantic_core import CoreSchema, from_json

from ec2lab.errors import UserError
from ec2lab.registry.record_model import held_to

MOST = 1024 * 1024
"""Characters of a document: those of our own programs have some hundred."""
LAST_MOMENT = 7_258_118_400
"""Seconds from 1970 to 2200."""


def said(text: str, schema: CoreSchema, who: str) -> Any:
    """Return the JSON that a text is, as the schema has it. Raises UserError, which names whose text it is."""
    if len(text) > MOST:
        raise UserError(f"{who}: says {len(text):,} characters, where some hundred are to be said")
    try:
        return held_to(schema, from_json(text.encode(errors="replace"), allow_inf_nan=False))
    except ValueError as problem:
        raise UserError(f"{who}: says nothing that can be read: {problem}") from problem


def number_said(text: str, least: int, most: int, who: str) -> int:
    """Return the whole number that a text is. Raises UserError, which names whose text it is."""
    stripped = text.strip()
    if not (stripped.isascii() and stripped.lstrip("-").isdigit() and len(stripped) <= len(str(most))):
        raise UserError(f"{who}: says no number: {stripped[:60]!r}")
    if not least <= int(stripped) <= most:
        raise UserError(f"{who}: says {stripped}, which is not from {least} to {most}")
    return int(stripped)
