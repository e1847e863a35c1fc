"""EC2's own request buckets: so many requests at once, and so many a second after that.

(https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html)
"""

from __future__ import annotations

from dataclasses import dataclass, field

from local_cloud import clock
from local_cloud.scenario import Bucket


@dataclass
class Throttle:
    """The buckets of each operation in each region; the caller serializes access."""

    buckets: dict[str, Bucket]
    _left: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    """(operation, region) -> tokens, and when they were counted."""

    def takes(self, action: str, region: str) -> bool:
        """Take a token for a call; False where there is none."""
        bucket = self.buckets.get(action)
        if bucket is None:
            return True
        now = clock.monotonic()
        tokens, at = self._left.get((action, region), (bucket.size, now))
        tokens = min(bucket.size, tokens + (now - at) * bucket.refill)
        granted = tokens >= 1
        self._left[action, region] = (tokens - granted, now)
        return granted
