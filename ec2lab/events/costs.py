"""What costs, status and reports say of money and of what is live."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict

from ec2lab.events import Event, ResourceEvent


class CostEvent(Event):
    """Charges in sum."""

    dollars: float
    unknown_prices: int
    """How many charges have no known price, and so are in no sum."""
    dollars_per_hour: float
    """Of live resources, now."""
    unknown_per_hour: int
    resources: int


class CostTotal(CostEvent, commands="cost"):
    """All charges of a period."""

    since: datetime | None
    until: datetime | None


class CostGroup(CostEvent, commands="cost"):
    """The charges of one member, experiment, region or resource type; the dearest first."""

    by: Literal["member", "experiment", "region", "kind"]
    name: str


class ChargeDetail(Event, commands="cost"):
    """What one resource cost for one period."""

    kind: str
    id: str
    region: str
    experiment: str | None
    created_by: str
    """user@host; empty where it is not known."""
    what: str
    market: str
    """Empty for what is no instance."""
    began: datetime
    ended: datetime | None
    """null for a live resource."""
    expires_at: datetime | None
    """null where it is not known."""
    dollars: float | None
    """null where it is not known."""
    dollars_per_hour: float | None
    """null where it is not known."""
    parent_id: str
    """The instance that it was created with; empty otherwise."""
    unpriced: str
    """Why its price is not known; empty where it is."""


class Unpriced(Event, commands="cost status"):
    """Resources without a known price, those of one reason together."""

    resources: list[str]
    reason: str


class StalePrices(Event, commands="cost"):
    """Prices that are older than a week."""

    count: int
    as_of: datetime
    source: str


class ResourceStatus(ResourceEvent, commands="report status", name="resource"):
    """A live resource. Fields beside these are the details of its type, all text."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str]
    host: str = ""
    """What HOST calls an instance: foo, or foo-2; empty where this computer has no name for it."""
    created_by: str
    """user@host; empty where it is not known."""
    state: str
    """AWS's own word."""
    state_reason: str
    """AWS's code for it; empty where there is none."""
    since: str
    """RFC 3339; empty where it is not known."""
    remaining: str
    """In words, when it terminates itself; empty where it does not."""
    overdue: bool
    """Whether it runs past its expiry."""
    dollars_per_hour: float
    dollars: float
    """So far."""
    unknown_prices: int
    unknown_per_hour: int


class Total(Event, commands="status"):
    """What all live resources cost together."""

    dollars_per_hour: float
    dollars: float
    """So far."""
    unknown_prices: int
    unknown_per_hour: int
