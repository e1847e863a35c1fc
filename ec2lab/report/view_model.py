"""The report as its template shows it: figures, tables and charts. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ec2lab.audit.audit import ERROR_VERDICTS, monthly
from ec2lab.costs.charges import Charge, CostPeriod
from ec2lab.costs.current_costs import total_of
from ec2lab.costs.money import sum_known
from ec2lab.events.report import DatasetSummary, Figure, Rejections
from ec2lab.registry.instance_timeline import InstanceTimeline
from ec2lab.report.cost_chart import Spending, spending
from ec2lab.report.data import INSTANCE, Past, ReportData
from ec2lab.report.tables import Standing, dataset_rows, reasons
from ec2lab.report.time_axis import new_axis
from ec2lab.report.timeline import Row, Timeline, hours, time_line

MOST_LISTED = 400  # instances in one row's table; `make history` shows the others
RECENT_WINDOW = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Page:
    facts: ReportData
    figures: list[Figure]
    standing: list[Standing]
    time_line: Timeline
    costs: Spending | None  # None where nothing recorded costs money
    regions: list[str]  # those with datasets
    datasets: list[DatasetSummary]

    def reasons(self, row: Row) -> list[Rejections]:
        return reasons(row.name, row.errors)

    def listed(self, row: Row) -> list[InstanceTimeline]:
        return sorted(row.lives, key=lambda life: life.began, reverse=True)[:MOST_LISTED]

    def hours(self, lives: Iterable[InstanceTimeline]) -> float:
        return sum(hours(life, self.facts.now) for life in lives)

    def dollars(self, row: Row) -> tuple[float, int]:
        """Return the cost of a row's experiments, and the number of unknown prices."""
        names = {self.facts.past.base(name) for name in row.experiments}
        found = [series for series in self.costs.by_experiment if series.name in names] if self.costs else []
        return sum(series.total for series in found), sum(len(series.unpriced) for series in found)


def page(facts: ReportData) -> Page:
    ever = _charges(facts.spans, min((span.began for span in facts.spans), default=facts.now), facts.now)
    standing = [Standing(resource, facts.costs[resource.id]) for resource in facts.live]
    datasets = dataset_rows(facts.datasets)
    return Page(
        facts=facts,
        figures=figures(facts, standing, ever),
        standing=standing,
        time_line=time_line(facts.past, facts.now),
        costs=_costs(facts) if facts.spans else None,
        regions=sorted({region for row in datasets for region in row.regions}),
        datasets=datasets,
    )


def _charges(spans: Iterable[CostPeriod], since: datetime, now: datetime) -> list[Charge]:
    return [charge for span in spans if (charge := span.charge(since, now, now))]


def _costs(facts: ReportData) -> Spending:
    axis = new_axis(min(span.began for span in facts.spans), facts.now)
    return spending(facts.spans, axis, facts.past.base)


def figures(facts: ReportData, standing: Sequence[Standing], ever: Sequence[Charge]) -> list[Figure]:
    """Return the figures at the top, without those that AWS did not return."""
    shown = [_lives(standing), *_dollars(facts, standing, ever), _api_errors(facts.past)]
    if "datasets" not in facts.incomplete:
        shown.append(_datasets(facts))
    if "audit" not in facts.incomplete:
        shown.append(_audit(facts))
    return shown


def _figure(label: str, value: str, more: str) -> Figure:
    return Figure(label=label, value=value, more=more)


def _lives(standing: Sequence[Standing]) -> Figure:
    instances = sum(one.resource.resource_type == INSTANCE for one in standing)
    others = len(standing) - instances
    return _figure("Live instances", f"{instances}", f"and {counted(others, 'other resource')}" if others else "")


def _dollars(facts: ReportData, standing: Sequence[Standing], ever: Sequence[Charge]) -> Iterator[Figure]:
    alive = total_of(one.spent for one in standing)
    yield _figure("$/hour", f"{alive.hourly:,.2f}", _more("", alive.hourly_unknown))
    lately = _charges(facts.spans, facts.now - RECENT_WINDOW, facts.now)
    spent, unknown = sum_known(charge.dollars for charge in lately)
    in_all, _ = sum_known(charge.dollars for charge in ever)
    yield _figure("$ in 30 days", f"{spent:,.2f}", _more(f"{in_all:,.2f} in total", unknown))


def _more(said: str, unpriced: int) -> str:
    return ", ".join(filter(None, (said, f"{unpriced} without a price" if unpriced else "")))


def _api_errors(past: Past) -> Figure:
    meanings = Counter(one.error.category.value for one in past.errors)
    most = f"mostly {meanings.most_common(1)[0][0]}" if meanings else f"of {counted(len(past.lives), 'instance')}"
    return _figure("API errors", f"{len(past.errors):,}", most)


def _datasets(facts: ReportData) -> Figure:
    names = {one.snapshot.dataset for one in facts.datasets}
    dollars, unknown = sum_known(one.dollars for one in facts.datasets)
    more = _more(f"up to {dollars:,.2f} a month", unknown)
    return _figure("Datasets", f"{len(names)}", more if names else "")


def _audit(facts: ReportData) -> Figure:
    wrong = sum(finding.verdict in ERROR_VERDICTS for finding in facts.findings)
    dollars, unknown = monthly(facts.findings)
    more = _more(f"{dollars:,.2f} a month in total", unknown)
    return _figure("Audit errors", f"{wrong}", more if facts.findings else "")


def counted(number: int, what: str) -> str:
    """Format a number of instances: 1 instance, 2 instances, no instance."""
    return f"{number or 'no'} {what}{'s' if number > 1 else ''}"
