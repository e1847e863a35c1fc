"""Events of teardowns and of the uninstallation of a lab."""

from __future__ import annotations

from typing import Literal

from ec2lab.events import LAUNCH, Event, ResourceEvent


class Deleting(ResourceEvent, commands=f"audit {LAUNCH} teardown teardown-aws"):
    """AWS accepted the deletion of a resource."""


class DeletionPending(ResourceEvent, commands=f"audit {LAUNCH} teardown teardown-aws"):
    """AWS still shows a resource some seconds after its deletion was requested."""

    reason: str
    """AWS's own message, and what uses the resource."""


class TeardownComplete(Event, commands="teardown teardown-aws"):
    """AWS shows nothing left of an experiment, or of the lab (experiment is null)."""

    experiment: str | None
    deleted: list[str]
    deleted_with_parent: list[str]
    """The ids of resources that AWS deleted together with those."""
    deleted_types: dict[str, int]
    """Number of both, by resource type."""
    retained: int = 0
    """Number of datasets and retained volumes that are kept on purpose."""


class TeardownFailed(Event, commands="teardown"):
    """One of several experiments could not be deleted completely."""

    experiment: str
    reason: str


class WouldDelete(ResourceEvent, commands="dataset-prune teardown"):
    """A resource that YES=1 deletes; with YES=1, one that is about to be deleted."""

    name: str = ""
    zone: str = ""
    instance_type: str = ""
    dollars_per_month: float | None = None
    """null if unknown."""


class NoMatch(Event, commands="teardown"):
    """No live experiment matches."""

    pattern: str


class RecordsDropped(Event, commands="teardown"):
    """The registry no longer counts resources of a cloud that no longer exists."""

    experiment: str
    ids: list[str]


class RetainedVolume(ResourceEvent, commands="status teardown"):
    """A volume that is retained after its experiment, and costs money until `make volume-delete` deletes it."""

    size: str
    dollars_per_month: float | None
    """null if unknown."""
    retention: str
    """The end of its retention, the reason, and the start, from its tags."""


class OwnedResource(ResourceEvent, commands="teardown-aws"):
    """A resource with this lab's tags."""

    status: Literal["would-delete", "retained", "foreign", "copy"]
    """foreign: another registry created it. copy: its tags were copied from a resource of this registry."""
    name: str
    dollars_per_month: float | None
    """null if unknown."""


class DataCost(Event, commands="teardown-aws"):
    """The monthly cost of datasets and retained volumes."""

    dollars_per_month: float
    unknown_prices: int
