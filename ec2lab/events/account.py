"""Events of the doctor, of the set-up of an AWS account, and of its audit."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from ec2lab.events import Event, ResourceEvent


class CheckFinding(Event, commands="doctor"):
    """A finding of a check."""

    severity: Literal["ok", "warning", "unknown", "error"]
    """unknown: it could not be checked."""
    check: str
    finding: str
    """Its id in docs/doctor.md."""
    subjects: list[str]
    values: dict[str, str]
    message: str
    remedy: str
    """Empty if no fix is needed."""


class Fixed(Event, commands="doctor"):
    """What FIX=1 changed about a finding."""

    check: str
    finding: str
    message: str


class CheckSummary(Event, commands="doctor"):
    """How many findings there are of each severity."""

    counts: dict[str, int]


class Present(Event, commands="setup-aws"):
    """Something the lab needs, and has."""

    region: str
    """A region, or global."""
    what: str


class Creatable(Present, commands="setup-aws"):
    """Something the lab needs and does not have: YES=1 creates it."""


class Blocked(Present, commands="setup-aws"):
    """Something the lab needs, does not have, and cannot create."""


class Created(Present, commands="setup-aws"):
    """Something that YES=1 created."""


class Recommendation(Event, commands="setup-aws"):
    """A setting that an account should have. The lab does not change it."""

    regions: list[str]
    what: str


class ManualStep(Event, commands="setup-aws"):
    """A command for somebody with more permissions."""

    command: str


class SecretsPolicy(Event, commands="setup-aws"):
    """What an instance profile's role must allow for the secrets of experiments."""

    instance_profile: str
    policy: dict[str, Any]


class SetupComplete(Event, commands="setup-aws"):
    """Everything that the lab needs exists."""

    created: int


class AuditSummary(Event, commands="audit registry-rebuild"):
    """The number of findings of each kind, and their total cost."""

    counts: dict[str, int]
    dollars_per_month: float
    unknown_prices: int
    regions: list[str]
    """The regions that were queried."""
    unavailable: dict[str, str]
    """By region that was not queried, the reason."""
    resources: int
    """How many were compared with the registry."""


class AuditFinding(ResourceEvent, commands="audit registry-rebuild report"):
    """A resource that differs from the registry, or that is unused."""

    finding: str
    """Its kind: orphan, not-terminated, stale-record, … (docs/failures.md)."""
    state: str
    state_reason: str
    """AWS's code for it; empty if there is none."""
    since: str
    """RFC 3339; empty if unknown."""
    zone: str = ""
    created_by: str
    dollars_per_month: float | None
    """null if unknown."""
    reason: str
    skipped: str
    """Why FIX=1 does not delete it; empty if it does."""
    registry: str
    """The id of the registry that created it, by its tags; empty if they do not contain it."""
    retain_until: date | None = None
    """The last day of a retained volume's retention; null also if its tag is invalid."""
    retain_reason: str | None = None


class MalformedTag(ResourceEvent, commands="audit"):
    """A tag of the lab with a value that the lab does not write. It counts as absent if it cannot be read."""

    key: str
    value: str
    expected: str
    """What its value should be."""


class Skipped(ResourceEvent, commands="audit registry-rebuild"):
    """A finding that FIX=1 or YES=1 does not touch."""

    reason: str


class AuditFixed(Event, commands="audit"):
    """The result of FIX=1."""

    deleted: list[str]
    dropped: list[str]
    """The ids of stale records."""


class Imported(Event, commands="registry-rebuild"):
    """Orphans were written into the registry."""

    ids: list[str]
    experiments: list[str]
