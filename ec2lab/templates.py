"""Templates that require quoting: a value enters text only through a filter that quotes it."""

from __future__ import annotations

import gzip
import json
import re
import shlex
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ec2lab.errors import UserError

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parents[1] / "templates"
USER_DATA_LIMIT = 16 * 1024
"""Bytes of user data before base64
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html)."""


NOT_ASCII = re.compile(r"[\x7f-\uffff]")


class Quoted(str):
    """Text that a filter has made safe for its place."""

    __slots__ = ()


class UnquotedValueError(Exception):
    """A template prints a value without a quoting filter."""


def shell(value: Any) -> Quoted:
    """Quote one word for a POSIX shell."""
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
    """Return the Jinja environment for templates in a directory."""
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
    """Render a template of templates/."""
    return environment().get_template(template).render(**values)


def text_of(name: str) -> str:
    """Return a file of templates/ unchanged."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def cloud_init(document: Mapping[str, Any]) -> str:
    """Return a cloud-init document (https://docs.cloud-init.io/en/latest/reference/modules.html)."""
    return render("cloud-init.yaml.j2", document=document)


def user_data(text: str) -> bytes:
    """Return a cloud-init document as sent: plain, or gzipped where only that fits. Raises UserError."""
    plain = text.encode()
    if len(plain) <= USER_DATA_LIMIT:
        return plain
    # A fixed time in gzip's header: the same document is the same bytes, so that a repeated request is identical.
    packed = gzip.compress(plain, compresslevel=9, mtime=0)
    if len(packed) > USER_DATA_LIMIT:
        packed = _packed_tighter(plain)
    if len(packed) > USER_DATA_LIMIT:
        raise UserError(
            f"user data: {len(packed)} bytes even when compressed, AWS takes {USER_DATA_LIMIT}; "
            "shorten the experiment's command (let it fetch a script), list fewer members, or give it `code`: what "
            "runs the command is then brought over ssh"
        )
    return packed


def _packed_tighter(plain: bytes) -> bytes:
    """Return bytes as gzip reads them, about 4 % fewer, for thirty times the work: a tenth of a second."""
    from zopfli.gzip import compress

    packed: bytes = compress(plain, numiterations=5)
    return packed
