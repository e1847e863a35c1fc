"""The scenario: what is scarce, what fails, how long things take. Set by tests, by the demo, or by hand."""

from __future__ import annotations

from fnmatch import fnmatchcase
from random import Random
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

OPT_IN = (
    "af-south-1", "ap-east-1", "ap-east-2", "ap-south-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5",
    "ap-southeast-6", "ap-southeast-7", "ca-west-1", "eu-central-2", "eu-south-1", "eu-south-2", "il-central-1",
    "me-central-1", "me-south-1", "mx-central-1",
)  # fmt: skip
"""Disabled in new accounts (https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html)."""

Seconds = Annotated[float, Field(ge=0)]
HowMany = Annotated[int, Field(ge=0)]
Invisible = Seconds | tuple[Seconds, Seconds]
"""A duration, or the minimum and maximum: each new resource draws its own, by the scenario's seed."""


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Capacity(Settings):
    """A rule on available capacity. The first that matches a pool applies; without one it is unlimited."""

    region: str = "*"
    zone: str = "*"
    type: str = "*"
    market: str = "*"
    available: HowMany = 0  # how many instances it grants at once, besides those that existed before
    calls: HowMany | None = None
    """How many calls it rejects (with `late`: launches it kills) before it ends; None until the scenario changes."""
    code: str = "InsufficientInstanceCapacity"
    message: str | None = None
    late: bool = False  # the instance is created, and dies while pending

    def covers(self, region: str, zone: str, instance_type: str, market: str) -> bool:
        pairs = ((region, self.region), (zone, self.zone), (instance_type, self.type), (market, self.market))
        return self.calls != 0 and all(fnmatchcase(value, pattern) for value, pattern in pairs)

    def consume(self) -> None:
        if self.calls:
            self.calls -= 1


class Fault(Settings):
    """Calls that fail: with an error code, or on the wire."""

    action: str = "*"
    region: str = "*"
    times: HowMany | None = None  # how many calls; None until the scenario changes
    skip: HowMany = 0  # how many calls succeed first
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0  # for each matching call, decided by the scenario's seed
    code: str | None = None
    message: str = "made so by the scenario"
    status: int | None = None  # the HTTP status, if not the code's own
    kind: Literal["reset-before", "reset-after", "truncated", "torn", "html-503", "hang-after"] | None = None
    """`before` and `after` execution by AWS; `truncated` breaks the connection within a response, `torn` ends it there
    as if it were complete; `hang-after` withholds the response until the caller gives up."""

    def is_about(self, action: str) -> bool:
        """Say whether calls of an operation fail, in any region."""
        return self.times != 0 and fnmatchcase(action, self.action)

    def strikes(self, action: str, region: str, chance: Random) -> bool:
        if self.times == 0 or not (fnmatchcase(action, self.action) and fnmatchcase(region, self.region)):
            return False
        if chance.random() >= self.probability:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Bucket(Settings):
    """How many requests of an operation a region accepts at once, and per second after that."""

    size: Annotated[float, Field(gt=0)]
    refill: Annotated[float, Field(gt=0)]


class Reservation(Settings):
    id: str
    region: str
    zone: str
    type: str
    total: HowMany = 1
    kind: Literal["default", "capacity-block"] = "default"
    state: str = "active"


class Scenario(Settings):
    """All settings; the defaults are calm."""

    latency: Seconds | dict[str, Seconds] = 0.0  # seconds that every call takes, or by region or operation
    invisible: Invisible | dict[str, Invisible] = 0.0
    """Seconds for which a new resource is not described, and not known to other calls; or by resource type ("instance",
    "volume", "snapshot", "security-group", "placement-group", …, "*" for the others)."""
    unknown: Seconds | dict[str, Seconds] = 0.0
    """Seconds for which a new resource is described but not known to other calls; or by resource type."""
    pending: Seconds = 0.0  # seconds until a new instance runs
    shutting_down: Seconds = 0.0  # seconds until an instance being terminated is gone
    terminated_shown: Seconds = 3600.0
    """Seconds for which a terminated instance is still described
    (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/terminating-instances.html: about an hour)."""
    snapshot_seconds: Seconds | dict[str, Seconds] = 0.0  # seconds until a snapshot is completed, or by region
    copy_seconds: Seconds | dict[str, Seconds] = 0.0  # seconds until a copy is completed, or by destination region
    concurrent_copies: HowMany = 20  # how many copies to a region may be pending
    initialization_seconds: Seconds = 0.0  # seconds until all blocks of a volume are loaded from its snapshot
    stand_ins: bool = False
    """Whether stand-ins answer ssh, and their host keys are on consoles (local_cloud/ssh_stand_in.py)."""
    console_seconds: Seconds = 0.0  # seconds until an instance's console can be read
    clock_skew: float = 0.0
    """Seconds by which the cloud's clock is ahead of this computer's; beyond five minutes no call is accepted."""
    ignores_dry_run: list[str] = []  # operations (or patterns of them) that execute a dry run, as EC2 never does
    seed: int = 0  # seed of probabilities
    unlisted_quotas: list[str] = []
    """Quotas, by name, that ListServiceQuotas omits, as nobody changed them: AWS's defaults apply."""
    quotas: dict[str, float] = {}  # Service Quotas' values, by name, where they differ
    not_opted_in: list[str] = list(OPT_IN)  # regions that the account has not opted in to
    metadata_defaults: dict[Literal["HttpTokens", "HttpEndpoint", "InstanceMetadataTags"], str] = {}
    """The account's metadata defaults for new instances."""
    reservations: list[Reservation] = []
    buckets: dict[str, Bucket] = {}  # requests beyond these, by operation, get RequestLimitExceeded
    capacity: list[Capacity] = []
    faults: list[Fault] = []

    def latency_of(self, action: str, region: str) -> float:
        if not isinstance(self.latency, dict):
            return self.latency
        return max(self.latency.get(action, 0.0), self.latency.get(region, 0.0))

    def invisible_for(self, resource_type: str) -> tuple[float, float]:
        """Return the minimum and maximum time for which a new resource is not visible."""
        chosen = self.invisible
        if isinstance(chosen, dict):
            chosen = chosen.get(resource_type, chosen.get("*", 0.0))
        return chosen if isinstance(chosen, tuple) else (chosen, chosen)

    def unknown_for(self, resource_type: str) -> float:
        chosen = self.unknown
        return chosen.get(resource_type, chosen.get("*", 0.0)) if isinstance(chosen, dict) else chosen

    def carries_out_dry_runs_of(self, action: str) -> bool:
        return any(fnmatchcase(action, pattern) for pattern in self.ignores_dry_run)

    def seconds_of(self, action: str, region: str) -> float:
        taken = self.copy_seconds if action == "CopySnapshot" else self.snapshot_seconds
        return taken.get(region, 0.0) if isinstance(taken, dict) else taken

    def fault_for(self, action: str, region: str, chance: Random) -> Fault | None:
        return next((fault for fault in self.faults if fault.strikes(action, region, chance)), None)


def demo_scenario() -> Scenario:
    """Return the scenario of a newcomer's first launch: the best instance is scarce in the first region."""
    scarce = Capacity(region="us-east-1", type="p4d.24xlarge", market="on-demand")
    return Scenario(pending=2.0, shutting_down=1.0, capacity=[scarce], stand_ins=True)
