"""Templates that require quoting: a value enters text only through a filter that quotes it."""

from __future__ import annotations

import json
import re
import shlex
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ec2lab.errors import UserError

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parents[1] / "templates"

NOT_ASCII = re.compile(r"[\x7f-\uffff]")


class Quoted(str):
    """Text that a filter has made safe for its place."""

    __slots__ = ()


class UnquotedValueError(Exception):
    """A template prints a value without a quoting filter."""


def shell(value: Any) -> Quoted:
    return Quoted(shlex.quote(str(value)))


def as_json(value: Any) -> Quoted:
    """Write a value as JSON that is YAML too (https://yaml.org/spec/1.2.2/, "Relation to JSON").

    YAML treats some Unicode characters as line breaks or rejects them, so everything but ASCII is escaped; beyond
    U+FFFF it is not, because JSON's escape there is a surrogate pair, which YAML readers split.
    """
    text = json.dumps(value, ensure_ascii=False)
    return Quoted(NOT_ASCII.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def bare(value: Any) -> Quoted:
    """Print a name as it is: letters, digits, - and _ need no quoting anywhere. Raises UserError for anything else."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", str(value)):
        raise UserError(f"{value!r} can't stand unquoted in a template")
    return Quoted(value)


def require_quoted(value: Any) -> Quoted:
    """Refuse to print unquoted values: forgetting the filter is an error, not a vulnerability."""
    if isinstance(value, Quoted):
        return value
    message = f"{value!r} is printed without a filter: write {{{{ … | shell }}}} or {{{{ … | json }}}}"
    raise UnquotedValueError(message)


@cache
def environment(directory: Path = TEMPLATES) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(directory),
        finalize=require_quoted,
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - HTML's escaping is wrong for shell and YAML; `require_quoted` stands in its place
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"shell": shell, "json": as_json, "bare": bare}
    return made


def render(template: str, **values: Any) -> str:
    return environment().get_template(template).render(**values)


def text_of(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
