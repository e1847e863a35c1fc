"""Events of plans, launches and starts."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from ec2lab.capacity_pools import Pool
from ec2lab.events import LAUNCH, Event


class PoolEvent(Event):
    """Something about one capacity pool."""

    experiment: str
    region: str
    zone: str | None
    """null if EC2 chooses."""
    subnet: str | None
    """null if EC2 chooses."""
    instance_type: str
    market: str
    """on-demand, spot, reservation:cr-… or capacity-block:cr-…"""

    @classmethod
    def of(cls, pool: Pool, **fields: Any) -> Self:
        return cls(
            region=pool.region, zone=pool.zone, subnet=pool.subnet, instance_type=pool.instance_type,
            market=str(pool.market), **fields,
        )  # fmt: skip


class LaunchStarted(Event, commands=LAUNCH):
    """A launch begins: what it requests."""

    experiment: str
    instance_types: list[str]
    markets: list[str]
    count: int
    datasets: dict[str, str]
    """By mount point."""


class BudgetUsage(Event, commands=f"{LAUNCH} plan"):
    """A budget that applies to a launch."""

    where: str
    """The file and key that set it."""
    limit: float
    """Dollars."""
    period: str
    spent: float
    """Dollars."""
    promised: float
    """Remaining cost of live resources until they expire, in dollars."""
    unknown_prices: int
    over: float | None
    """In a plan, dollars by which the launch would exceed it; negative if it would not."""


class LaunchRejected(PoolEvent, commands=f"{LAUNCH} start", notify=True):
    """AWS rejected a request to launch or start instances; in a watch, of any process."""

    instance: str | None = None
    """The instance that was to start; null for a launch."""
    code: str
    """AWS's error code."""
    message: str
    category: str
    """Its meaning for the search (docs/capacity.md)."""
    late: bool = False
    """Whether the instance was created first, and then terminated."""
    explanation: str
    """One line for people."""


class RegionSkipped(Event, commands=LAUNCH):
    """A region was skipped."""

    experiment: str
    region: str
    reason: str


class Resumed(Event, commands=LAUNCH):
    """The launch adopts an instance of an interrupted launch."""

    experiment: str
    instance: str
    region: str


class InstancePending(PoolEvent, commands=LAUNCH):
    """AWS created an instance. It is not running yet."""

    instance: str
    placed_in: str
    """The zone that EC2 chose."""


class RetryScheduled(Event, commands=f"{LAUNCH} start"):
    """All pools failed; they are tried again later."""

    experiment: str
    seconds: float
    """Until the next round."""
    seconds_left: float
    """Until capacity_timeout expires."""


class Rejection(BaseModel):
    """The last error of one pool."""

    region: str
    zone: str | None
    subnet: str | None
    instance_type: str
    market: str
    code: str
    category: str
    explanation: str


class CapacityExhausted(Event, commands=LAUNCH, notify=True):
    """No pool has the capacity that the launch needs."""

    experiment: str
    rejections: list[Rejection]
    exclusions: list[str]
    """Why pools were excluded, one line each."""
    advice: list[str]


class RollingBack(Event, commands=LAUNCH):
    """The launch failed or was interrupted: what it created is deleted."""

    experiment: str


class RolledBack(Event, commands=LAUNCH):
    """The rollback is complete: AWS shows nothing left of the launch."""

    experiment: str


class InstanceRunning(Event, commands=f"{LAUNCH} start", notify=True):
    """An instance is running. Additional fields are its details, all of them text."""

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
    """An instance has a new expiry: set by ttl-set, or by a start after its ttl had expired."""

    experiment: str
    id: str
    host: str | None = None
    expires_at: str
    """RFC 3339, or never."""
    previous: str
    """Likewise; empty if there was none."""
    ttl: str = ""
    """Time from now; empty for never, and after a start."""


class Candidate(Event, commands="plan"):
    """A capacity pool, in the order of the search."""

    region: str
    zone: str | None
    """null if EC2 chooses."""
    subnet: str | None
    """null if EC2 chooses."""
    instance_type: str
    market: str
    """on-demand, spot, reservation:cr-… or capacity-block:cr-…"""
    dollars_per_hour: float | None
    """null if unknown."""
    excluded: str | None
    """Why it would not be tried; null if it would."""
    position: int
    price: str
    """dollars_per_hour in words."""


class GpuSelection(Event, commands="plan"):
    """The instance types that match an experiment's gpu, cheapest first."""

    gpu: list[str]
    instance_types: list[str]


class CodeToUpload(Event, commands="plan"):
    """The code that a launch would upload."""

    commit: str
    pack_sha256: str
    bytes: int
    diff_sha256: str | None = None
    """Of the uncommitted changes; null if there are none."""
    summary: str


class PlannedContainer(Event, commands="plan"):
    """The container in which the command would run. The instance pulls its image from the boot on."""

    image: str


class PlannedSecret(Event, commands="plan"):
    """A secret that the command would find in its environment."""

    name: str
    source: str
    """Where it is kept: env:VARIABLE, ssm:PARAMETER or secretsmanager:SECRET#KEY."""
    is_set: bool | None
    """Whether the variable is set where the plan is made; null where the instance reads the secret."""


class Forecast(Event, commands="plan"):
    """The maximum cost of a launch."""

    dollars: float
    unknown: int
    """Number of unknown prices."""
    hours: float
    is_assumed: bool
    """Whether the hours are an assumption, because there is no ttl."""
    unpriced: list[str]
    """What has an unknown price: instance types, and volumes by their mount point."""


class PlannedRequest(Event, commands="plan"):
    """The request to the first pool, and the instance's cloud-init document."""

    region: str
    request: dict[str, Any]
    """Of RunInstances, without secrets."""
    cloud_init: str
    image: str = ""
    """The id and name of the image; empty if AWS does not return them."""
    prerequisites: list[str]
    """What would be created first, one line each."""


class DryRunAllowed(Event, commands="plan"):
    """AWS would allow the request, according to a dry run."""

    region: str
