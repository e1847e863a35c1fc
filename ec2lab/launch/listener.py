"""Who is told how a launch gets on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ec2lab.aws.error_codes import ApiError
from ec2lab.capacity_pools import Pool
from ec2lab.events import Event
from ec2lab.launch.run_instances import Instance
from ec2lab.launch.search import Search
from ec2lab.resources.base import Resource


class Listener(Protocol):
    """Who is told how a launch gets on."""

    def refused(self, pool: Pool, refusal: ApiError) -> None:
        """A pool refused, at once or late."""

    def region_unready(self, region: str, reason: str) -> None:
        """A region is passed over."""

    def taken_up(self, machines: Sequence[Resource]) -> None:
        """Machines of an earlier run, which was cut off, are gone on with."""

    def started(self, pool: Pool, machines: Sequence[Instance], missing: int) -> None:
        """Machines were made and are pending; so many are still missing."""

    def waiting(self, seconds: float) -> None:
        """Machines are still pending, after so many seconds."""

    def next_round(self, seconds: float, left: float) -> None:
        """All pools refused; they are asked again in so many seconds, and for so many more in all."""

    def in_vain(self, search: Search) -> None:
        """The search ended without what was wanted."""

    def taking_down(self) -> None:
        """The launch failed or was interrupted, what it made is being deleted."""

    def deleted(self, event: Event) -> None:
        """AWS was asked to delete a resource, or it takes its time."""
