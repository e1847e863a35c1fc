"""Events of launches and starts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from ec2lab.capacity_pools import Pool
from ec2lab.events import GREEN, LAUNCH, YELLOW, Event
from ec2lab.units import used_text


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

    @property
    def pool(self) -> str:
        return f"{self.region}  {self.subnet or self.zone or 'any zone'}  {self.instance_type}  {self.market}"

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

    def lines(self) -> str:
        data = ", ".join(f"{dataset} on {mount}" for mount, dataset in self.datasets.items()) or "no dataset"
        many = f"{self.count} x " if self.count > 1 else ""
        types, markets = " or ".join(self.instance_types), " or ".join(self.markets)
        return f"{self.experiment}: {many}{types}, {markets}, with {data}"


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

    def lines(self) -> str:
        used = f"${self.limit:,.2f} {self.period}: {used_text(self.spent, self.unknown_prices, self.promised)}"
        if self.over is None:
            return f"  budget  {used}"
        by = f"${abs(self.over):,.2f}"
        return (
            f"{self.where}: {used}; {f'over by {by}: a launch is refused' if self.over > 0 else f'{by} would be left'}"
        )

    def color(self) -> str | None:
        return YELLOW if (self.over or 0) > 0 else None


class LaunchRejected(PoolEvent, commands=f"{LAUNCH} start", notify=True, style=YELLOW):
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

    def lines(self) -> str:
        what = f"{self.instance} in {self.zone}: " if self.instance else f"{self.pool}  "
        return f"  {what}{self.explanation}{' after it had started' if self.late else ''}"


class RegionSkipped(Event, commands=LAUNCH, text="  {region}  skipped: {reason}", style=YELLOW):
    """A region was skipped."""

    experiment: str
    region: str
    reason: str


class Resumed(
    Event, commands=LAUNCH, text="  {region}  {instance} was created by an interrupted launch; resuming", style=GREEN
):
    """The launch adopts an instance of an interrupted launch."""

    experiment: str
    instance: str
    region: str


class InstancePending(
    PoolEvent,
    commands=LAUNCH,
    text="  {region}  {placed_in}  {instance_type}  {market}  {instance} starts",
    style=GREEN,
):
    """AWS created an instance. It is not running yet."""

    instance: str
    placed_in: str
    """The zone that EC2 chose."""


class RetryScheduled(Event, commands=f"{LAUNCH} start", style=YELLOW):
    """All pools failed; they are tried again later."""

    experiment: str
    seconds: float
    """Until the next round."""
    seconds_left: float
    """Until capacity_timeout expires."""

    def lines(self) -> str:
        at = self.time.astimezone() + timedelta(seconds=self.seconds)
        return (
            f"  all pools failed; retrying at {at:%H:%M:%S}, for another {timedelta(seconds=round(self.seconds_left))}"
        )


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

    def lines(self) -> list[str]:
        return [f"  {line}" for line in self.advice]


class RollingBack(Event, commands=LAUNCH, text="  rolling back: deleting what was created", style=YELLOW):
    """The launch failed or was interrupted: what it created is deleted."""

    experiment: str


class RolledBack(Event, commands=LAUNCH, text="{experiment}: rolled back; AWS shows nothing left", style=GREEN):
    """The rollback is complete: AWS shows nothing left of the launch."""

    experiment: str


class InstanceRunning(Event, commands=f"{LAUNCH} start", notify=True, style=GREEN):
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

    def lines(self) -> list[str]:
        if self.seconds is None:
            return [f"{self.experiment}: {self.id} runs ({self.type} in {self.zone})"]
        data = (self.model_extra or {}).get("data", "none")
        runs = f"{self.experiment} runs after {self.seconds:.0f} s: {self.id}, {self.type} in {self.zone}"
        return [runs, f"  data    {data}"]


class SshReady(Event, commands=f"{LAUNCH} start", text="  ssh     {host} at {address}"):
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

    def lines(self) -> str:
        if not self.host:
            return f"  ends    {self.id} at {_moment(self.expires_at)}: its ttl had expired, and starts again"
        never = self.expires_at == "never"
        ends = (
            "no longer has a ttl, and is billed until somebody terminates it"
            if never
            else f"ends at {_moment(self.expires_at)}, {self.ttl} from now"
        )
        return f"{self.host} {ends} (before: {_moment(self.previous) or 'no expiry'})"

    def color(self) -> str | None:
        return YELLOW if self.expires_at == "never" else GREEN


def _moment(text: str) -> str:
    return f"{text[:16].replace('T', ' ')} UTC" if text[:1].isdigit() else text
