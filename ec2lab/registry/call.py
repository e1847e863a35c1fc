"""A call by which something was asked for, with all tries of it, as far as the records tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ec2lab.registry.record import parse_time

EARLIER = timedelta(minutes=6)
"""By how much AWS's clock may be behind this computer's: it takes no request whose time differs by more than five
minutes (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html)."""
LATER = timedelta(minutes=20)
"""Until when what was asked for is made at the latest: a request's signature ends after five minutes, botocore sends it
up to five times and waits for a minute each time, and the clocks may differ."""


@dataclass(slots=True)
class Call:
    """One call, known by the tag that it puts on what it makes."""

    token: str
    """That tag: its ClientToken, or its intent's id where the call takes none."""
    operation: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    times: list[str] = field(default_factory=list)
    """When each try was sent, or answered."""
    answered: bool = False
    """Whether a response is on record, which names what was made."""
    made: set[tuple[str, str]] = field(default_factory=set)
    """(kind, id) of what the response named, or of what was found to be made by the call and put on record."""

    def may_have_made(self, since: str) -> bool:
        """Say whether something can come from the call by the time at which AWS says that it was made."""
        if not self.times:
            return False
        first, last = min(map(parse_time, self.times)), max(map(parse_time, self.times))
        return first - EARLIER <= parse_time(since) <= last + LATER
