"""HTML from a template: every value is escaped, and nothing from anywhere else is let in."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ec2lab.printable import printable_document
from ec2lab.templates import TEMPLATES


@cache
def environment() -> Environment:
    """Return the Jinja environment of the pages in templates/."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"csp_hash": csp_hash}
    return made


def shown(value: Any) -> Any:
    """Return a value without what a browser obeys instead of showing it, such as a bidirectional override."""
    return printable_document(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def csp_hash(text: str) -> str:
    """Return what a Content-Security-Policy calls an inline style by, so that no other one is applied
    (https://www.w3.org/TR/CSP3/#grammardef-hash-source).
    """  # noqa: D205
    digest = hashlib.sha256(str(text).encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def render_page(template: str, **values: Any) -> str:
    """Render a page of templates/."""
    return environment().get_template(template).render(**values)
