"""A report's page as one HTML file that needs nothing else: no script, no network."""

from __future__ import annotations

from datetime import datetime

from scripts.core.account.audit import ALARMING
from scripts.core.costs.cost_sums import amount
from scripts.core.costs.dollars import in_dollars
from scripts.core.reports import cost_columns
from scripts.core.reports.cost_periods import Series, shown
from scripts.core.reports.report_page import MOST_LISTED, Page, counted
from scripts.core.reports.report_tables import day
from scripts.core.reports.time_line import short
from scripts.core.reports.web_page import render_page

GENERATOR = '<meta name="generator" content="ec2-lab report">'
"""What tells a report from other files: only reports are overwritten."""


def report_html(page: Page) -> str:
    """Return the page's text."""
    return render_page(
        "report.html.j2",
        page=page, facts=page.facts, charts=cost_columns, alarming=ALARMING, most_listed=MOST_LISTED,
        money=in_dollars, amount=amount, short=short, day=day, counted=counted, shown=shown, highest=_highest,
        machine_readable=_machine_readable,
    )  # fmt: skip


def _highest(series: list[Series]) -> float:
    """Return what the dearest period of any costs, which all small charts are measured by."""
    return max((dollars for one in series for dollars in one.dollars), default=0.0)


def _machine_readable(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
