"""A call that created resources, with all its attempts, as far as they are recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ec2lab.registry.record import parse_time

EARLIER = timedelta(minutes=6)
"""How far AWS's clock may be behind this computer's: it rejects requests that differ by more than five minutes
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html)."""
LATER = timedelta(minutes=20)
"""Latest creation after a request: its signature expires after five minutes, botocore sends it up to five times with
waits of up to a minute, and the clocks may differ."""


@dataclass(slots=True)
class Call:
    """A call, identified by the tag that it puts on what it creates."""

    token: str
    """That tag: the ClientToken, or the intent's id if the call takes none."""
    operation: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    times: list[str] = field(default_factory=list)
    """When each attempt was sent, or its response arrived."""
    answered: bool = False
    """Whether a response is recorded, which names what was created."""
    made: set[tuple[str, str]] = field(default_factory=set)
    """(resource type, id) of what the response names, or of what was found and recorded later."""

    def may_have_made(self, since: str) -> bool:
        """Return whether the call may have created a resource, by AWS's creation time."""
        if not self.times:
            return False
        first, last = min(map(parse_time, self.times)), max(map(parse_time, self.times))
        return first - EARLIER <= parse_time(since) <= last + LATER
