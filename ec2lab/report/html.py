"""A report's page as one HTML file that needs nothing else: no script, no network."""

from __future__ import annotations

from datetime import datetime

from ec2lab.audit.audit import ERROR_VERDICTS
from ec2lab.costs.money import in_dollars
from ec2lab.rendering import amount
from ec2lab.report import cost_chart
from ec2lab.report.cost_periods import Series, shown
from ec2lab.report.tables import day
from ec2lab.report.timeline import short
from ec2lab.report.view_model import MOST_LISTED, Page, counted
from ec2lab.report.web_page import render_page

GENERATOR = '<meta name="generator" content="ec2-lab report">'
"""What tells a report from other files: only reports are overwritten."""


def report_html(page: Page) -> str:
    """Return the page's text."""
    return render_page(
        "report.html.j2",
        page=page, facts=page.facts, charts=cost_chart, alarming=ERROR_VERDICTS, most_listed=MOST_LISTED,
        money=in_dollars, amount=amount, short=short, day=day, counted=counted, shown=shown, highest=_highest,
        instance_readable=_iso,
    )  # fmt: skip


def _highest(series: list[Series]) -> float:
    """Return what the dearest period of any costs, which all small charts are measured by."""
    return max((dollars for one in series for dollars in one.dollars), default=0.0)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
