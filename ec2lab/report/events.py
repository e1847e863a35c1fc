"""The content of a report's page as events."""

from __future__ import annotations

from collections.abc import Iterator

from ec2lab.audit.report import finding_event
from ec2lab.aws.tags import DATA, IDLE, TTL, tags_in_request
from ec2lab.events import Event, Unavailable
from ec2lab.events.report import CostSeries, InstanceHistory, TimelineRow
from ec2lab.instances.status import status_event
from ec2lab.registry.instance_timeline import InstanceTimeline
from ec2lab.report.data import INSTANCE
from ec2lab.report.timeline import Row
from ec2lab.report.view_model import Page


def events(page: Page) -> Iterator[Event]:
    facts = page.facts
    yield from page.figures
    for what, why in facts.unavailable.items():
        yield Unavailable(what=what, reason=why)
    for standing in page.standing:
        yield status_event(standing.resource, standing.spent)
    for row in page.time_line.rows:
        yield from _row(page, row)
    yield from _costs(page)
    yield from page.datasets
    for finding in facts.findings:
        yield finding_event(finding)


def _row(page: Page, row: Row) -> Iterator[Event]:
    dollars, unpriced = page.dollars(row)
    yield TimelineRow(
        name=row.name, experiments=row.experiments, instances=len(row.lives), live=row.live, peak=row.peak,
        hours=round(page.hours(row.lives), 2), rejections=len(row.errors), dollars=round(dollars, 4),
        unknown_prices=unpriced,
    )  # fmt: skip
    for life in row.lives:
        yield InstanceHistory(
            experiment=life.experiment, id=life.id, region=life.region, created_by=life.by,
            began=life.began, ended=life.ended, end_reason=life.fate, **_details(life),
        )  # fmt: skip
    yield from page.reasons(row)


def _details(life: InstanceTimeline) -> dict[str, str]:
    tags = tags_in_request(life.request, INSTANCE)
    details = {
        "type": life.type, "zone": life.zone, "market": life.market, "address": life.address, "ends": life.ends,
        "data": tags.get(DATA), "ttl": tags.get(TTL), "idle": tags.get(IDLE),
    }  # fmt: skip
    return {name: value for name, value in details.items() if value}


def _costs(page: Page) -> Iterator[Event]:
    if page.costs is None:
        return
    for by, found in (("experiment", page.costs.by_experiment), ("member", page.costs.by_member)):
        for series in found:
            pairs = zip(page.costs.periods, series.dollars, strict=True)
            over_time = {period.begin.isoformat(): round(dollars, 4) for period, dollars in pairs if dollars}
            yield CostSeries(
                by=by, name=series.name, dollars=round(series.total, 4), period=page.costs.every,
                dollars_by_period=over_time, unknown_prices=len(series.unpriced),
            )  # fmt: skip
