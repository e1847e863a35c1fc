"""What a launch needs in each region: the sum of the parts' shares, looked up in threads and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress

from scripts.core import clock
from scripts.core.aws.aws_errors import AWS_ERRORS, api_error, described
from scripts.core.aws.region_queries import TICK
from scripts.core.capacity.error_codes import ApiError
from scripts.core.errors import LabError
from scripts.core.lab.config import Experiment
from scripts.core.launch_part import RegionUnready, Share, Site, total
from scripts.core.render import environment
from scripts.core.session import Session

HEAD_START = 0.03
"""Seconds that the call to be waited for gets to leave first: making a client keeps Python busy for 30 ms."""


class RegionShares:
    """The shares of one launch, by region."""

    def __init__(self, session: Session, name: str, experiment: Experiment) -> None:
        self._session = session
        self._site: Callable[[str], Site] = lambda region: Site(session, name, experiment, region)
        self._looks: dict[str, list[Future[Share]]] = {}
        self._ready: dict[str, Share] = {}
        self._warm: set[str] = set()

    def look_at(self, regions: Iterable[str]) -> None:
        """Begin to look regions up, all parts at the same time, without waiting for the answers."""
        for region in regions:
            if region not in self._looks:
                parts, site = self._session.launch_parts, self._site(region)
                self._looks[region] = [self._session.threads.submit(part.share, site) for part in parts]

    def look_again(self, region: str) -> None:
        """Look a region up anew when it is next asked for: what it answered may have passed."""
        self._looks.pop(region, None)

    def warm_up(self, regions: Iterable[str]) -> None:
        """Make the clients of regions in a thread, while a call of another region is waited for; nothing is sent."""
        cold = [region for region in regions if region not in self._warm]
        self._warm.update(cold)
        if cold:
            self._session.threads.submit(self._make_clients, cold)

    def _make_clients(self, regions: Iterable[str]) -> None:
        clock.sleep(HEAD_START)
        for region in regions:
            for make in (self._session.cloud.ec2, self._session.cloud.ec2_asking_once):
                if not self._session.over.is_set():
                    make(region)

    def plain(self, region: str) -> Share:
        """Return a region's share, what is to be prepared still in it. Raises RegionUnready or LabError."""
        self.look_at([region])
        # While the answers are on their way, what the request wants is made ready.
        environment()
        self._session.cloud.ec2_asking_once(region)
        with _of_one_region():
            return total(self._in_time(region))

    def _in_time(self, region: str) -> Iterator[Share]:
        """Yield what the looks tell. Raises RegionUnready where they take three times as long as one response may.

        A part may ask for several things, one after the other.
        """
        with suppress(LabError):  # who has to type a code has the time for that; each look says what else is wrong
            self._session.cloud.expect_credentials()
        left = 3 * self._session.region_timeout
        for look in self._looks[region]:
            while not look.done() and left > 0:
                left -= clock.wait_for([look], min(TICK, left))
            if not look.done():
                self._session.gives_up()
                timeout = ApiError("NoResponse", "")
                raise RegionUnready(f"no response within {3 * self._session.region_timeout:g} s", timeout)
            yield look.result()

    def ready(self, region: str) -> Share:
        """Return a region's share with everything made that it needs. Raises RegionUnready or LabError."""
        if region not in self._ready:
            share = self.plain(region)
            if share.preparations:
                with self._session.preparing, _of_one_region():
                    if region in self._session.prepared:  # by another launch, while this one waited
                        del self._looks[region]
                        share = self.plain(region)
                    self._ready[region] = share.prepared()
                    self._session.prepared.add(region)
            else:
                self._ready[region] = share
        return self._ready[region]


@contextmanager
def _of_one_region() -> Iterator[None]:
    """Turn an error of this region into RegionUnready, but for one that each region would answer for sure.

    Whether the others are in order is for them to say: a policy, or an opt-in, may be about this one alone.
    """
    try:
        yield
    except AWS_ERRORS as problem:
        error = api_error(problem)
        if error.is_everywhere:
            raise
        raise RegionUnready(described(problem), error) from problem
