"""Events of teardowns and of the uninstallation of a lab."""

from __future__ import annotations

from typing import Literal

from ec2lab.events import GREEN, LAUNCH, RED, RESOURCE, YELLOW, Event, ResourceEvent
from ec2lab.units import a_month, counted, dollars

OWNED = {"would-delete": "would delete", "retained": "retained", "foreign": "another lab's", "copy": "a copy"}


class Deleting(ResourceEvent, commands=f"audit {LAUNCH} teardown teardown-aws", text=f"  deleting {RESOURCE}"):
    """AWS accepted the deletion of a resource."""


class DeletionPending(
    ResourceEvent,
    commands=f"audit {LAUNCH} teardown teardown-aws",
    text=f"  waiting for {RESOURCE}: {{reason}}",
    style=YELLOW,
):
    """AWS still shows a resource some seconds after its deletion was requested."""

    reason: str
    """AWS's own message, and what uses the resource."""


class TeardownComplete(Event, commands="teardown teardown-aws", style=GREEN):
    """AWS shows nothing left of an experiment, or of the lab (experiment is null)."""

    experiment: str | None
    deleted: list[str]
    deleted_with_parent: list[str]
    """The ids of resources that AWS deleted together with those."""
    deleted_types: dict[str, int]
    """Number of both, by resource type."""
    retained: int = 0
    """Number of datasets and retained volumes that are kept on purpose."""

    def lines(self) -> str:
        kinds = [counted(number, resource_type) for resource_type, number in self.deleted_types.items()]
        done = f"deleted {', '.join(kinds)}; AWS shows nothing left" if kinds else "nothing was left"
        stays = f"; {counted(self.retained, 'dataset or retained volume')} kept" if self.retained else ""
        return f"{f'{self.experiment}: ' if self.experiment else ''}{done}{stays}"


class TeardownFailed(Event, commands="teardown", text="{experiment}: {reason}", style=RED):
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

    def lines(self) -> str:
        if self.name:
            price = dollars(self.dollars_per_month, "at most {:,.2f} dollars a month", "at an unknown price")
            return f"  deleted  {self.name}  {self.id}  {self.region}  {price}"
        named = f"  {self.experiment}  {RESOURCE.format_map(vars(self))}"
        return " ".join(filter(None, (named, self.instance_type, self.zone)))


class NoMatch(Event, commands="teardown", text="{pattern}: no live experiment matches"):
    """No live experiment matches."""

    pattern: str


class RecordsDropped(Event, commands="teardown"):
    """The registry no longer counts resources of a cloud that no longer exists."""

    experiment: str
    ids: list[str]

    def lines(self) -> str:
        return f"{self.experiment}: removed from the registry: {', '.join(self.ids)}"


class RetainedVolume(ResourceEvent, commands="status teardown"):
    """A volume that is retained after its experiment, and costs money until `make volume-delete` deletes it."""

    size: str
    dollars_per_month: float | None
    """null if unknown."""
    retention: str
    """The end of its retention, the reason, and the start, from its tags."""

    def lines(self) -> list[str]:
        costs = dollars(self.dollars_per_month, "{:,.2f} dollars a month", "an unknown price")
        return [
            f"  retained: {self.id} ({self.region}), {self.size}: {costs}",
            f"    {self.retention}",
            f"    `make volume-delete VOLUME={self.id} YES=1` deletes it",
        ]


class OwnedResource(ResourceEvent, commands="teardown-aws"):
    """A resource with this lab's tags."""

    status: Literal["would-delete", "retained", "foreign", "copy"]
    """foreign: another registry created it. copy: its tags were copied from a resource of this registry."""
    name: str
    dollars_per_month: float | None
    """null if unknown."""

    def lines(self) -> str:
        price = dollars(self.dollars_per_month, "{:,.2f} dollars a month", "unknown price")
        cost = "" if self.dollars_per_month == 0 else price
        words = f"  {OWNED[self.status]:<12}", RESOURCE.format_map(vars(self)), self.name, cost
        return "  ".join(filter(None, words))


class DataCost(Event, commands="teardown-aws"):
    """The monthly cost of datasets and retained volumes."""

    dollars_per_month: float
    unknown_prices: int

    def lines(self) -> str:
        return f"  datasets and retained volumes: {a_month(self.dollars_per_month, self.unknown_prices)}"
