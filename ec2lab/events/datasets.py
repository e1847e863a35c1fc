"""Events of datasets, snapshots and volumes."""

from __future__ import annotations

from datetime import date

from ec2lab.events import GREEN, RED, YELLOW, Event, ResourceEvent


class DatasetBuilt(Event, commands="dataset-build", style=GREEN):
    """A version was built. If it was built from a bucket, id, region, version and blocks are null."""

    dataset: str
    source: str
    id: str | None = None
    region: str | None = None
    version: str | None = None
    blocks: int | None = None
    """Number of 512 KiB blocks that were uploaded."""

    def lines(self) -> str:
        if self.id is None:
            return f"{self.dataset}: built from {self.source}"
        sent = f"{self.blocks} blocks of 512 KiB were sent"
        return f"{self.dataset}@{self.version}: {self.id} in {self.region} is complete; {sent}"


class Unchanged(
    Event, commands="dataset-build", text="{dataset}@{version} has the same content: nothing to do", style=GREEN
):
    """The newest version has the same content; none was created."""

    dataset: str
    version: str
    id: str


class SnapshotStarted(Event, commands="snapshot-create", style=GREEN):
    """AWS is creating a snapshot."""

    id: str
    region: str
    dataset: str
    version: str
    volume: str
    mount: str
    created: bool
    """false if an earlier run started it."""

    def lines(self) -> str:
        began = f"of {self.volume} on {self.mount}" if self.created else "which an earlier run began"
        return f"{self.dataset}@{self.version}: {self.id} in {self.region}, {began}"


class SnapshotComplete(
    Event,
    commands="snapshot-create",
    text="{dataset}@{version} is complete: the next launch with this dataset gets it",
    style=GREEN,
):
    """The snapshot is complete."""

    id: str
    dataset: str
    version: str


class CopyProgress(Event, commands="snapshot-copy"):
    """The progress of a copy, at each change."""

    region: str
    id: str
    """Empty until AWS has started it."""
    state: str
    percent: float
    waiting_for: str
    """Why AWS does not accept it yet; else empty."""
    failure: str
    """Empty if there is none."""


class SnapshotVerified(Event, commands="dataset-verify"):
    """A snapshot was read back."""

    id: str
    region: str
    dataset: str
    version: str
    same: bool
    """Whether it is identical to what was built."""
    blocks: int

    def lines(self) -> str:
        result = "is what was built" if self.same else "is NOT what was built"
        return f"{self.dataset}@{self.version} in {self.region} {result}: {self.blocks} blocks"

    def color(self) -> str | None:
        return GREEN if self.same else RED


class DatasetVersion(Event, commands="datasets"):
    """A version of a dataset in a region."""

    dataset: str
    version: str
    region: str
    state: str
    progress: str
    """As AWS reports it: 37%."""
    id: str
    size_gib: int
    """Of a volume that is created from it."""
    bytes: int
    """Stored, at most."""
    dollars_per_month: float | None
    """At most; null if unknown."""
    fast_restore: str
    """The zones in which it is enabled; empty if there are none."""
    failure: str
    """Why it failed; empty if it did not."""
    started: str
    created_at: str
    """When its content was created: for a copy, before the copy started."""
    encrypted: bool
    source: str | None


class InUse(ResourceEvent, commands="dataset-prune", text="  retained  {name}  {id}  {region}  {reason}", style=YELLOW):
    """A version beyond KEEP_LAST that is not deleted."""

    name: str
    reason: str
    """What uses it, or why it is not the lab's to delete."""
    dollars_per_month: float | None
    """At most; null if unknown."""


class Deleted(Event, commands="dataset-prune volume-delete", text="{id} is deleted", style=GREEN):
    """It was deleted."""

    id: str


class VolumeRetained(Event, commands="volume-delete volume-retain", text="{id} {message}", style=GREEN):
    """A retained volume."""

    id: str
    retain_until: date | None
    """The last day of its retention; null if its tags are invalid."""
    reason: str
    message: str
    """Everything about it, for people."""


class VolumeMounted(Event, commands="volume-mount", text="{volume} is mounted on {mount} of {host}", style=GREEN):
    """The volume is mounted."""

    volume: str
    mount: str
    instance: str
    host: str
    created: bool
    """Whether the volume was created for this."""


class VolumeUnmounted(Event, commands="volume-unmount", style=GREEN):
    """The volume is unmounted and detached."""

    volume: str
    mount: str
    deleted: bool
    """Whether it was deleted, as volume-mount had created it."""

    def lines(self) -> str:
        became = "deleted, as it was made for this" if self.deleted else "detached, and billed until it is deleted"
        return f"{self.volume} is {became}"
