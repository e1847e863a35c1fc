"""A report's page as one self-contained HTML file: no script, no network."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ec2lab.audit.audit import ERROR_VERDICTS
from ec2lab.costs.money import in_dollars
from ec2lab.printable import printable_document
from ec2lab.report import cost_chart
from ec2lab.report.cost_chart import Series, shown
from ec2lab.report.tables import day
from ec2lab.report.timeline import short
from ec2lab.report.view_model import MOST_LISTED, Page, counted
from ec2lab.templates import TEMPLATES
from ec2lab.units import amount

GENERATOR = '<meta name="generator" content="ec2-lab report">'  # identifies reports: only they are overwritten


def report_html(page: Page) -> str:
    return _environment().get_template("report.html.j2").render(
        page=page, facts=page.facts, charts=cost_chart, alarming=ERROR_VERDICTS, most_listed=MOST_LISTED,
        money=in_dollars, amount=amount, short=short, day=day, counted=counted, shown=shown, highest=_highest,
    )  # fmt: skip


def _highest(series: list[Series]) -> float:
    """Return the cost of the most expensive period, the scale of all small charts."""
    return max((dollars for one in series for dollars in one.dollars), default=0.0)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"csp_hash": csp_hash}
    return made


def _printable(value: Any) -> Any:
    """Return a value without invisible control characters, such as a bidirectional override."""
    return printable_document(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def csp_hash(text: str) -> str:
    """Return the hash of an inline style for the Content-Security-Policy, which blocks all others.

    https://www.w3.org/TR/CSP3/#grammardef-hash-source
    """
    digest = hashlib.sha256(str(text).encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
