"""What a report has, beside live resources and the findings of an audit."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict

from ec2lab.events import Event


class Figure(Event, commands="report"):
    """One of the figures on top of the page."""

    label: str
    value: str
    more: str


class TimelineRow(Event, commands="report"):
    """A row of the timeline: an experiment, or a sweep."""

    name: str
    experiments: list[str]
    instances: int
    live: int
    peak: int
    """The most instances at one time."""
    hours: float
    rejections: int
    dollars: float
    unknown_prices: int


class InstanceHistory(Event, commands="report"):
    """An instance that is or was live. Fields beside these are its details, all text."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str]
    experiment: str | None
    id: str
    region: str
    created_by: str
    """user@host."""
    began: datetime
    ended: datetime | None
    """null while it is live."""
    end_reason: str
    """Empty while it is live."""


class Rejections(Event, commands="report"):
    """The rejections of one kind by one pool."""

    experiment: str
    where: str
    what: str
    code: str
    category: str
    """In words."""
    count: int
    first: datetime
    last: datetime
    message: str
    """The last one's."""


class CostSeries(Event, commands="report"):
    """What an experiment or a member cost, over time."""

    by: Literal["experiment", "member"]
    name: str
    dollars: float
    period: str
    """How long a period is."""
    dollars_by_period: dict[str, float]
    """By the beginning of each period, RFC 3339."""
    unknown_prices: int


class DatasetSummary(Event, commands="report"):
    """A version of a dataset, in all regions."""

    dataset: str
    version: str
    newest: bool
    created_at: str
    regions: dict[str, str]
    """By region, how it is there."""
    dollars_per_month: float | None
    """null where it is not known."""


class ReportWritten(Event, commands="report"):
    """The page is written."""

    path: str
    records: int
    """Of the registry, that it is made from."""
    size_kib: float
