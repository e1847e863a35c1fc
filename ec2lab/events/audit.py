"""What an audit reports."""

from __future__ import annotations

from datetime import date

from ec2lab.events import Event, ResourceEvent


class AuditSummary(Event, commands="audit registry-rebuild"):
    """How many findings there are of each kind, and what they cost together."""

    counts: dict[str, int]
    dollars_per_month: float
    unknown_prices: int
    regions: list[str]
    """Those that were described."""
    unavailable: dict[str, str]
    """By region that was not, the reason."""
    resources: int
    """How many were compared with the registry."""


class AuditFinding(ResourceEvent, commands="audit registry-rebuild report"):
    """A resource that does not agree with the registry, or that nothing uses."""

    finding: str
    """Its kind: orphan, not-terminated, stale-record, … (docs/failures.md)."""
    state: str
    state_reason: str
    """AWS's code for it; empty where there is none."""
    since: str
    """RFC 3339; empty where it is not known."""
    zone: str = ""
    created_by: str
    dollars_per_month: float | None
    """null where it is not known."""
    reason: str
    skipped: str
    """Why FIX=1 does not delete it; empty where it does."""
    registry: str
    """The id of the registry that made it, by its tags; empty where they do not say it."""
    retain_until: date | None = None
    """Of a retained volume, the last day of its retention; null also where its tag cannot be read."""
    retain_reason: str | None = None


class MalformedTag(ResourceEvent, commands="audit"):
    """A tag of the lab's with a value that the lab does not write. If it cannot be read, it counts as absent."""

    key: str
    value: str
    expected: str
    """What its value should be."""


class Skipped(ResourceEvent, commands="audit registry-rebuild"):
    """A finding that FIX=1 or YES=1 does not touch."""

    reason: str


class AuditFixed(Event, commands="audit"):
    """What FIX=1 did."""

    deleted: list[str]
    dropped: list[str]
    """The ids of stale records."""


class Imported(Event, commands="registry-rebuild"):
    """Orphans were written into the registry."""

    ids: list[str]
    experiments: list[str]
