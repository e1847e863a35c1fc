"""Events of the doctor, of the set-up of an AWS account, and of its audit."""

from __future__ import annotations

import json
from datetime import date
from typing import Any, Literal

from ec2lab.events import GREEN, RED, RESOURCE, YELLOW, Event, ResourceEvent
from ec2lab.units import a_month, counted

SEVERITIES = {"ok": GREEN, "warning": YELLOW, "unknown": YELLOW, "error": RED}
AUDIT_PLURALS = {"orphan": "orphans", "stale-record": "stale-records", "copy": "copies"}


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

    def lines(self) -> str:
        remedy = f" → {self.remedy}" if self.remedy else ""
        return f"{self.severity:<8} {self.check:<16} {self.message}{remedy}"

    def color(self) -> str | None:
        return SEVERITIES[self.severity] if self.remedy else None


class Fixed(Event, commands="doctor", text="fixed   {check:<16} {message}", style=GREEN):
    """What FIX=1 changed about a finding."""

    check: str
    finding: str
    message: str


class CheckSummary(Event, commands="doctor"):
    """How many findings there are of each severity."""

    counts: dict[str, int]

    def lines(self) -> str:
        errors, warnings, unknown = (self.counts.get(severity, 0) for severity in ("error", "warning", "unknown"))
        text = "all is well"
        if errors or warnings or unknown:
            text = f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}"
        return text + (f", {unknown} not checked" if unknown else "")

    def color(self) -> str:
        return next(
            SEVERITIES[one] for one in ("error", "warning", "unknown", "ok") if self.counts.get(one) or one == "ok"
        )


class Present(Event, commands="setup-aws", text="  {region:<14}  exists   {what}"):
    """Something the lab needs, and has."""

    region: str
    """A region, or global."""
    what: str


class Creatable(Present, commands="setup-aws", text="  {region:<14}  missing  {what}", style=YELLOW):
    """Something the lab needs and does not have: YES=1 creates it."""


class Blocked(Present, commands="setup-aws", text="  {region:<14}  blocked  {what}", style=RED):
    """Something the lab needs, does not have, and cannot create."""


class Created(Present, commands="setup-aws", text="  {region}  created  {what}"):
    """Something that YES=1 created."""


class Recommendation(Event, commands="setup-aws"):
    """A setting that an account should have. The lab does not change it."""

    regions: list[str]
    what: str

    def lines(self) -> str:
        return f"  advice for {', '.join(self.regions)}: {self.what}"


class ManualStep(Event, commands="setup-aws", text="  {command}"):
    """A command for somebody with more permissions."""

    command: str


class ProfilePolicy(Event, commands="setup-aws"):
    """What an instance profile's role must allow for its experiments' secrets and images in Amazon ECR."""

    instance_profile: str
    policy: dict[str, Any]

    def lines(self) -> list[str]:
        return [
            f"  the role of the instance profile {self.instance_profile} must allow, for its experiments:",
            f"    {json.dumps(self.policy)}",
        ]


class SetupComplete(Event, commands="setup-aws", style=GREEN):
    """Everything that the lab needs exists."""

    created: int

    def lines(self) -> str:
        return f"created {self.created}; nothing is missing" if self.created else "nothing is missing"


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

    def lines(self) -> str:
        found = [
            f"{n} {AUDIT_PLURALS.get(resource_type, resource_type) if n > 1 else resource_type}"
            for resource_type, n in self.counts.items()
            if n
        ]
        total = a_month(self.dollars_per_month, self.unknown_prices)
        text = f"{', '.join(found)}: {total}" if found else "no orphaned resources"
        if self.unavailable:
            text += " in the regions that responded"
        return f"{text} ({counted(len(self.regions), 'region')}, {self.resources} resources checked)"

    def color(self) -> str:
        return YELLOW if any(self.counts.values()) or self.unavailable else GREEN


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


class MalformedTag(
    ResourceEvent,
    commands="audit",
    text=f"  {RESOURCE}: its tag {{key}} = {{value!r}} is not {{expected}}",
    style=YELLOW,
):
    """A tag of the lab with a value that the lab does not write. It counts as absent if it cannot be read."""

    key: str
    value: str
    expected: str
    """What its value should be."""


class Skipped(ResourceEvent, commands="audit registry-rebuild", text=f"  skipped: {RESOURCE}, {{reason}}"):
    """A finding that FIX=1 or YES=1 does not touch."""

    reason: str


class AuditFixed(Event, commands="audit", style=GREEN):
    """The result of FIX=1."""

    deleted: list[str]
    dropped: list[str]
    """The ids of stale records."""

    def lines(self) -> str:
        return f"{len(self.deleted)} deleted, {len(self.dropped)} removed from the registry"


class Imported(Event, commands="registry-rebuild", style=GREEN):
    """Orphans were written into the registry."""

    ids: list[str]
    experiments: list[str]

    def lines(self) -> str:
        return (
            f"{len(self.ids)} imported into the registry{': ' if self.experiments else ''}{', '.join(self.experiments)}"
        )
