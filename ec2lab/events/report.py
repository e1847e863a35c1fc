"""Events of a report, besides live resources and audit findings."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict

from ec2lab.events import Event


class Figure(Event, commands="report"):
    """One of the figures at the top of the page."""

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
    """The highest number of instances at one time."""
    hours: float
    rejections: int
    dollars: float
    unknown_prices: int


class InstanceHistory(Event, commands="report"):
    """An instance that is or was live. Additional fields are its details, all of them text."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str]
    experiment: str | None
    id: str
    region: str
    created_by: str
    """user@host."""
    began: datetime
    ended: datetime | None
    """null if it is live."""
    end_reason: str
    """Empty if it is live."""


class Rejections(Event, commands="report"):
    """The rejections of one category by one pool."""

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
    """The message of the last one."""


class CostSeries(Event, commands="report"):
    """What an experiment or a member cost, over time."""

    by: Literal["experiment", "member"]
    name: str
    dollars: float
    period: str
    """The length of a period."""
    dollars_by_period: dict[str, float]
    """By the start of each period, RFC 3339."""
    unknown_prices: int


class DatasetSummary(Event, commands="report"):
    """A version of a dataset, in all regions."""

    dataset: str
    version: str
    newest: bool
    created_at: str
    regions: dict[str, str]
    """By region, the state of its snapshot there."""
    dollars_per_month: float | None
    """null if unknown."""


class ReportWritten(Event, commands="report", text="{path} is written ({size_kib:.0f} KiB)"):
    """The page is written."""

    path: str
    records: int
    """Number of records of the registry that it is based on."""
    size_kib: float
