"""What plans, launches and starts report."""

from __future__ import annotations

from typing import Any, Protocol, Self

from pydantic import BaseModel, ConfigDict

from ec2lab.events import LAUNCH, Event


class HasPlace(Protocol):
    """A capacity pool, as ec2lab/capacity_pools.py has it."""

    @property
    def region(self) -> str: ...  # noqa: D102
    @property
    def zone(self) -> str | None: ...  # noqa: D102
    @property
    def subnet(self) -> str | None: ...  # noqa: D102
    @property
    def instance_type(self) -> str: ...  # noqa: D102
    @property
    def market(self) -> Any: ...  # noqa: D102


class PoolEvent(Event):
    """Something about one capacity pool."""

    experiment: str
    region: str
    zone: str | None
    """null where EC2 chooses."""
    subnet: str | None
    """null where EC2 chooses."""
    instance_type: str
    market: str
    """on-demand, spot, reservation:cr-… or capacity-block:cr-…"""

    @classmethod
    def of(cls, pool: HasPlace, **fields: Any) -> Self:
        """Return the event about a pool."""
        return cls(
            region=pool.region, zone=pool.zone, subnet=pool.subnet, instance_type=pool.instance_type,
            market=str(pool.market), **fields,
        )  # fmt: skip


class LaunchStarted(Event, commands=LAUNCH):
    """A launch begins: what it asks for."""

    experiment: str
    instance_types: list[str]
    markets: list[str]
    count: int
    datasets: dict[str, str]
    """By mount point."""


class BudgetUsage(Event, commands=f"{LAUNCH} plan"):
    """A budget that a launch is held to."""

    where: str
    """The file and key that set it."""
    limit: float
    """Dollars."""
    period: str
    spent: float
    """Dollars."""
    promised: float
    """Dollars that live resources go on to cost until they expire."""
    unknown_prices: int
    over: float | None
    """In a plan, dollars by which the launch would exceed it; below 0 where it would not."""


class LaunchRejected(PoolEvent, commands=f"{LAUNCH} start", notify=True):
    """AWS refused to launch or to start instances; in a watch, those of any process."""

    instance: str | None = None
    """The instance that was to start; null for a launch."""
    code: str
    """AWS's error code."""
    message: str
    category: str
    """What it means for the search (docs/capacity.md)."""
    late: bool = False
    """Whether the instance was created, and terminated for it."""
    explanation: str
    """One line for people."""


class RegionSkipped(Event, commands=LAUNCH):
    """A region is not asked."""

    experiment: str
    region: str
    reason: str


class Resumed(Event, commands=LAUNCH):
    """An instance of an interrupted launch is used."""

    experiment: str
    instance: str
    region: str


class InstancePending(PoolEvent, commands=LAUNCH):
    """AWS created an instance. It is not running yet."""

    instance: str
    placed_in: str
    """The zone that EC2 chose."""


class RetryScheduled(Event, commands=f"{LAUNCH} start"):
    """All pools refused; they are asked again."""

    experiment: str
    seconds: float
    """Until then."""
    seconds_left: float
    """For how long it goes on asking."""


class Rejection(BaseModel):
    """The last response of one pool."""

    region: str
    zone: str | None
    subnet: str | None
    instance_type: str
    market: str
    code: str
    category: str
    explanation: str


class CapacityExhausted(Event, commands=LAUNCH):
    """No pool has what the launch needs."""

    experiment: str
    rejections: list[Rejection]
    exclusions: list[str]
    """Why pools were not asked, a line each."""
    advice: list[str]


class RollingBack(Event, commands=LAUNCH):
    """The launch failed or was interrupted: what it created is deleted."""

    experiment: str


class InstanceRunning(Event, commands=f"{LAUNCH} start", notify=True):
    """An instance is running. Fields beside these are its details, all text."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str]
    experiment: str
    id: str
    region: str
    seconds: float | None
    """Since the launch began; null for a start, and in a watch."""
    remaining: str
    """In words, when it terminates itself; empty without a ttl."""
    type: str
    zone: str
    market: str
    """on-demand or spot."""


class SshReady(Event, commands=f"{LAUNCH} start"):
    """How to reach an instance by SSH."""

    experiment: str
    host: str
    """Its name for ssh."""
    address: str


class ExpirySet(Event, commands="start ttl-set"):
    """An instance has a new expiry: it was extended, or its ttl ran out while it was stopped, and started again."""

    experiment: str
    id: str
    host: str | None = None
    expires_at: str
    """RFC 3339, or never."""
    previous: str
    """Likewise; empty where there was none."""
    ttl: str = ""
    """How long from now; empty for never, and after a start."""


class Candidate(Event, commands="plan"):
    """A capacity pool, in the order of asking."""

    region: str
    zone: str | None
    """null where EC2 chooses."""
    subnet: str | None
    """null where EC2 chooses."""
    instance_type: str
    market: str
    """on-demand, spot, reservation:cr-… or capacity-block:cr-…"""
    dollars_per_hour: float | None
    """null where it is not known."""
    excluded: str | None
    """Why it would not be asked; null where it would."""
    position: int
    price: str
    """dollars_per_hour in words."""


class GpuSelection(Event, commands="plan"):
    """The instance types that an experiment's gpu stands for, the cheapest first."""

    gpu: list[str]
    instance_types: list[str]


class CodeToUpload(Event, commands="plan"):
    """The code that a launch would upload."""

    commit: str
    pack_sha256: str
    bytes: int
    diff_sha256: str | None = None
    """Of the changes that are not committed; null where there are none."""
    summary: str


class Forecast(Event, commands="plan"):
    """What a launch would cost at most."""

    dollars: float
    unknown: int
    """How many prices are not known."""
    hours: float
    is_assumed: bool
    """Whether the hours are assumed, as there is no ttl."""


class PlannedRequest(Event, commands="plan"):
    """What the first pool would be asked, and the cloud-init document of the instance."""

    region: str
    request: dict[str, Any]
    """Of RunInstances, without secrets."""
    cloud_init: str
    prerequisites: list[str]
    """What would be created before, a line each."""


class DryRunAllowed(Event, commands="plan"):
    """AWS would allow the request, by a dry run."""

    region: str
