"""What the doctor and the set-up of an AWS account report."""

from __future__ import annotations

from typing import Literal

from ec2lab.events import Event


class CheckFinding(Event, commands="doctor"):
    """What a check found."""

    severity: Literal["ok", "warning", "unknown", "wrong"]
    """unknown: it could not be checked."""
    check: str
    finding: str
    """Its id in docs/doctor.md."""
    subjects: list[str]
    values: dict[str, str]
    message: str
    remedy: str
    """Empty where nothing is to be fixed."""


class Fixed(Event, commands="doctor"):
    """What FIX=1 did about a finding."""

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


class SetupComplete(Event, commands="setup-aws"):
    """Everything the lab needs is there."""

    created: int
