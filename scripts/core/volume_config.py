"""What is mounted on a machine beside its own disk, as an experiment's file says it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from scripts.core.strict import Strict
from scripts.core.values import Gib, MountPoint, Name, Owner, matching

AtTeardown = Literal["delete", "snapshot", "keep"]
Filesystem = Literal["ext4", "xfs"]


class Mounted(Strict):
    """A file system on the machine, and whose it is there."""

    mount: MountPoint
    owner: Owner | None = None
    """The mount point's owner and group, "alice:docker", as the machine knows them; left as they are when left out."""
    mode: Annotated[str, matching(r"[0-7]{3,4}", 'an octal mode (try "2775")')] | None = None


class Volume(Mounted):
    """A volume that comes with the machine."""

    type: Literal["gp3", "gp2", "io1", "io2", "st1", "sc1"] = "gp3"
    iops: Annotated[int, Field(ge=100, le=256000)] | None = None
    throughput: Annotated[int, Field(ge=125, le=2000)] | None = None
    """MiB/s, gp3 only."""
    at_teardown: AtTeardown = "delete"
    """What becomes of it: deleted with the machine; snapshotted first, as a new version of its data set; kept."""


class Data(Volume):
    """A data set's volume: made from the newest snapshot of the data set, or of the version that is named."""

    dataset: Name
    version: Annotated[str, Field(min_length=1, max_length=64, examples=["2026-11"])] | None = None
    read_only: bool = False
    gib: Gib | None = None
    """Size; the snapshot's own when left out."""
    initialization_rate: Annotated[int, Field(ge=100, le=300)] | None = None
    """MiB/s at which EC2 loads the blocks ahead of their first reading; charged."""


class Scratch(Volume):
    """An empty volume, formatted at the machine's first boot."""

    gib: Gib
    filesystem: Filesystem = "ext4"
    dataset: Name | None = None
    """The data set that it becomes a version of, where at_teardown is "snapshot"."""
    version: Annotated[str, Field(pattern=r"^\S{1,64}$")] | None = None
    """What that version is called; the next number when left out."""

    @model_validator(mode="after")
    def _a_snapshot_has_a_name(self) -> Scratch:
        if self.at_teardown == "snapshot" and self.dataset is None:
            message = 'at_teardown = "snapshot" wants a name: dataset = "…", which the snapshot becomes a version of'
            raise ValueError(message)
        return self


class InstanceStore(Mounted):
    """The machine's own NVMe disks, RAID 0 over them if there are several; empty again after every stop."""

    filesystem: Filesystem = "ext4"
