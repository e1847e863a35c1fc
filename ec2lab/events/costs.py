"""Events of costs, status and reports."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import ConfigDict

from ec2lab.events import Event, ResourceEvent
from ec2lab.units import amount

NAMED = 3
"""How many resources without a price are named per reason."""


class CostEvent(Event):
    """A sum of charges."""

    dollars: float
    unknown_prices: int
    """Number of charges without a known price, which are in no sum."""
    dollars_per_hour: float
    """Of live resources, now."""
    unknown_per_hour: int
    resources: int


class CostTotal(CostEvent, commands="cost"):
    """All charges of a period."""

    since: datetime | None
    until: datetime | None

    def lines(self) -> str:
        since = f" since {_day(self.since)}" if self.since else ""
        until = f" until {_day(self.until)}" if self.until else ""
        hourly = amount(self.dollars_per_hour, self.unknown_per_hour)
        return (
            f"{amount(self.dollars, self.unknown_prices)} dollars{since}{until}; live resources cost {hourly} an hour"
        )


class CostGroup(CostEvent, commands="cost"):
    """The charges of one member, experiment, region or resource type, highest first."""

    by: Literal["member", "experiment", "region", "resource-type"]
    name: str


class ChargeDetail(Event, commands="cost"):
    """What one resource cost for one period."""

    resource_type: str
    id: str
    region: str
    experiment: str | None
    created_by: str
    """user@host; empty if unknown."""
    what: str
    market: str
    """Empty for other resources than instances."""
    began: datetime
    ended: datetime | None
    """null for a live resource."""
    expires_at: datetime | None
    """null if unknown."""
    dollars: float | None
    """null if unknown."""
    dollars_per_hour: float | None
    """null if unknown."""
    parent_id: str
    """The instance that it was created with; empty otherwise."""
    unpriced: str
    """Why its price is unknown; empty if it is known."""


class Unpriced(Event, commands="cost ps status"):
    """Resources without a known price, grouped by reason."""

    resources: list[str]
    reason: str

    def lines(self) -> str:
        more = f" and {len(self.resources) - NAMED} more" if len(self.resources) > NAMED else ""
        return f"  unknown: {', '.join(self.resources[:NAMED])}{more}: {self.reason}"


class StalePrices(Event, commands="cost", text="  {count} prices are of {as_of:%Y-%m-%d}, from {source}"):
    """Prices that are older than a week."""

    count: int
    as_of: datetime
    source: str


class ResourceStatus(ResourceEvent, commands="report status", name="resource"):
    """A live resource. Additional fields are details of its type, all of them text."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str]
    host: str = ""
    """What HOST calls an instance: foo, or foo-2; empty where this computer has no name for it."""
    created_by: str
    """user@host; empty where it is not known."""
    state: str
    """As AWS reports it."""
    state_reason: str
    """AWS's code for it; empty if there is none."""
    since: str
    """RFC 3339; empty if unknown."""
    remaining: str
    """In words, when it terminates itself; empty if it does not."""
    overdue: bool
    """Whether it still runs after its expiry."""
    dollars_per_hour: float
    dollars: float
    """So far."""
    unknown_prices: int
    unknown_per_hour: int


class MemberUsage(Event, commands="ps"):
    """What a member runs in one experiment, or in all of them."""

    member: str
    """user@host, who launched it."""
    experiment: str | None
    """null for the sum of the member's experiments, which comes before them."""
    instances: int
    not_running: dict[str, int]
    """By state, how many of them do not run."""
    types: dict[str, int]
    """By instance type, how many there are."""
    markets: list[str]
    since: datetime | None
    """When the first of them was launched; null without any."""
    dollars_per_hour: float
    dollars: float
    """So far."""
    unknown_prices: int
    unknown_per_hour: int


class Total(Event, commands="ps status"):
    """The cost of all live resources."""

    dollars_per_hour: float
    dollars: float
    """So far."""
    unknown_prices: int
    unknown_per_hour: int

    def lines(self) -> str:
        hourly = amount(self.dollars_per_hour, self.unknown_per_hour)
        return f"{hourly} dollars an hour, {amount(self.dollars, self.unknown_prices)} so far"


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}".removesuffix(" 00:00")
