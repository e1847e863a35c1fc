"""What a launch needs in each region: the sum of the parts' shares, looked up in threads and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future

from scripts.core.config import Experiment
from scripts.core.launch_part import Share, Site, total
from scripts.core.session import Session


class RegionShares:
    """The shares of one launch, by region."""

    def __init__(self, session: Session, name: str, experiment: Experiment) -> None:
        self._session = session
        self._site: Callable[[str], Site] = lambda region: Site(session, name, experiment, region)
        self._looks: dict[str, list[Future[Share]]] = {}
        self._ready: dict[str, Share] = {}

    def look_at(self, regions: Iterable[str]) -> None:
        """Begin to look regions up, all parts at the same time, without waiting for the answers."""
        for region in regions:
            if region not in self._looks:
                parts, site = self._session.launch_parts, self._site(region)
                self._looks[region] = [self._session.threads.submit(part.share, site) for part in parts]

    def plain(self, region: str) -> Share:
        """Return a region's share, what is to be prepared still in it. Raises RegionUnready or LabError."""
        self.look_at([region])
        return total(look.result() for look in self._looks[region])

    def ready(self, region: str) -> Share:
        """Return a region's share with everything made that it needs. Raises RegionUnready or LabError."""
        if region not in self._ready:
            self._ready[region] = self.plain(region).prepared()
        return self._ready[region]
