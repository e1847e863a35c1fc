"""Events of costs, status and reports."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict

from ec2lab.events import Event, ResourceEvent


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


class Unpriced(Event, commands="cost status"):
    """Resources without a known price, grouped by reason."""

    resources: list[str]
    reason: str


class StalePrices(Event, commands="cost"):
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


class Total(Event, commands="status"):
    """The cost of all live resources."""

    dollars_per_hour: float
    dollars: float
    """So far."""
    unknown_prices: int
    unknown_per_hour: int
