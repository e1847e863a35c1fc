"""What is on a report's page, for programs: an event for each thing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ec2lab.aws.tags import DATA, IDLE, TTL, tags_in_request
from ec2lab.registry.instance_timeline import InstanceTimeline
from ec2lab.report.instance_history import MACHINE
from ec2lab.report.tables import Standing
from ec2lab.report.timeline import Row
from ec2lab.report.view_model import Page

Told = tuple[str, dict[str, Any]]
"""An event's name, and its fields."""


def events(page: Page) -> Iterator[Told]:
    """Return the events of a page in its own order."""
    facts = page.facts
    for figure in page.figures:
        yield "figure", {"label": figure.label, "value": figure.value, "more": figure.more}
    for what, why in facts.unanswered.items():
        yield "unanswered", {"what": what, "why": why}
    for standing in page.standing:
        yield "lives", _standing(standing)
    for row in page.time_line.rows:
        yield from _row(page, row)
    yield from _costs(page)
    for data_set in page.data_sets:
        regions = {region: word for region, word in zip(page.regions, data_set.there, strict=True) if word}
        yield "data-set", {
            "dataset": data_set.name, "version": data_set.version, "newest": data_set.is_newest,
            "made": data_set.made, "regions": regions, "dollars_a_month": data_set.monthly,
        }  # fmt: skip
    for finding in facts.findings:
        thing = finding.resource
        yield "finding", {
            "finding": finding.verdict, "kind": thing.kind, "id": thing.id, "region": thing.region,
            "experiment": thing.experiment, "made_by": finding.by, "dollars_a_month": finding.monthly,
            "why": finding.spared or finding.why,
        }  # fmt: skip


def _standing(one: Standing) -> dict[str, Any]:
    thing = one.resource
    return {
        "experiment": thing.experiment, "kind": thing.kind, "id": thing.id, "state": thing.state,
        "state_reason": thing.state_reason.code, "where": one.where,
        "what": one.what, "since": thing.since, "dollars_an_hour": one.spent.hourly,
        "dollars_so_far": round(one.spent.dollars, 4), "unknown_prices": one.spent.hourly_unknown,
    }  # fmt: skip


def _row(page: Page, row: Row) -> Iterator[Told]:
    dollars, unpriced = page.dollars(row)
    yield "experiment", {
        "name": row.name, "experiments": row.experiments, "machines": len(row.lives), "living": row.living,
        "at_once": row.peak, "hours": round(page.hours(row.lives), 2), "refusals": len(row.refused),
        "dollars": round(dollars, 4), "unknown_prices": unpriced,
    }  # fmt: skip
    for life in row.lives:
        yield "machine", {
            "experiment": life.experiment, "id": life.id, "region": life.region, "by": life.by,
            "began": life.began.isoformat(), "ended": life.ended.isoformat() if life.ended else None,
            "fate": life.fate, **_details(life),
        }  # fmt: skip
    for reason in page.reasons(row):
        yield "refusals", {
            "experiment": row.name, "where": reason.where, "what": reason.what, "code": reason.code,
            "meaning": reason.meaning, "times": reason.times, "first": reason.first.isoformat(),
            "last": reason.last.isoformat(), "message": reason.message,
        }  # fmt: skip


def _details(life: InstanceTimeline) -> dict[str, str]:
    tags = tags_in_request(life.request, MACHINE)
    told = {
        "type": life.type, "zone": life.zone, "market": life.market, "address": life.address, "ends": life.ends,
        "data": tags.get(DATA), "ttl": tags.get(TTL), "idle": tags.get(IDLE),
    }  # fmt: skip
    return {name: value for name, value in told.items() if value}


def _costs(page: Page) -> Iterator[Told]:
    if page.costs is None:
        return
    for by, found in (("experiment", page.costs.by_experiment), ("member", page.costs.by_member)):
        for series in found:
            pairs = zip(page.costs.periods, series.dollars, strict=True)
            over_time = {period.begin.isoformat(): round(dollars, 4) for period, dollars in pairs if dollars}
            yield "cost", {
                "by": by, "name": series.name, "dollars": round(series.total, 4), "every": page.costs.every,
                "over_time": over_time, "unknown_prices": len(series.unpriced),
            }  # fmt: skip
