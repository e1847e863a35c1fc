"""What launches that run side by side in one command share."""

from __future__ import annotations

from threading import Lock

from ec2lab.aws.describe_batcher import DescribeBatcher
from ec2lab.aws.token_bucket import TokenBucket
from ec2lab.session import Session


class SharedByLaunches:
    """Made once for a session: `session.once(SharedByLaunches)`."""

    def __init__(self, session: Session) -> None:
        self.preparing = Lock()  # held while something is created that a region lacks: one launch creates it for all
        self.prepared: set[str] = set()  # the regions where that has been done
        self._session = session
        self._batchers: dict[str, DescribeBatcher] = {}
        self._limiters: dict[str, TokenBucket] = {}
        self._lock = Lock()

    def batcher(self, region: str) -> DescribeBatcher:
        """Return what describes the instances of all launches in a region by one call."""
        with self._lock:
            if region not in self._batchers:
                self._batchers[region] = DescribeBatcher(self._session.cloud.ec2(region))
            return self._batchers[region]

    def limiter(self, region: str) -> TokenBucket:
        """Return what all launches take their turns by in a region."""
        with self._lock:
            if region not in self._limiters:
                self._limiters[region] = TokenBucket(self._session.pause)
            return self._limiters[region]
