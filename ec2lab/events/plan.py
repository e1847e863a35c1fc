"""What a plan reports, beside budgets."""

from __future__ import annotations

from typing import Any

from ec2lab.events import Event


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

    request: dict[str, Any]
    """Of RunInstances, without secrets."""
    cloud_init: str
    prerequisites: list[str]
    """What would be created before, a line each."""


class DryRunAllowed(Event, commands="plan"):
    """AWS would allow the request, by a dry run."""

    region: str
