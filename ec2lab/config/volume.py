"""What is mounted on an instance beside its own disk, as an experiment's file says it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ec2lab.config.fields import Duration, Gib, MountPoint, Name, Owner, Reason, StrictModel, matching
from ec2lab.deletion_policy import DeletionPolicy
from ec2lab.units import duration_text

Filesystem = Literal["ext4", "xfs"]
MountOption = Literal[
    "suid", "dev", "noexec", "noatime", "nodiratime", "relatime", "strictatime", "lazytime", "discard"
]  # fmt: skip
"""mount(8), FILESYSTEM-INDEPENDENT MOUNT OPTIONS. Without suid and dev, a volume is mounted nosuid and nodev."""


LONGEST = timedelta(days=3650)


class Mounted(StrictModel):
    """A file system on the instance, and whose it is there."""

    mount: MountPoint
    owner: Owner | None = None
    """The mount point's owner and group, "alice:docker", as the instance knows them; left as they are when left out."""
    mode: Annotated[str, matching(r"[0-7]{3,4}", 'an octal mode (try "2775")')] | None = None
    options: list[MountOption] = []
    """How it is mounted; set-uid programs and device files on it count for nothing unless suid and dev are here."""

    @property
    def is_roots_alone(self) -> bool:
        """Whether nobody but root can write in its mount point, by what is said here."""
        user = (self.owner or "").partition(":")[0]
        return user in ("", "root") and not int(self.mode or "0", 8) & 0o022


class Volume(Mounted):
    """A volume that comes with the instance."""

    type: Literal["gp3", "gp2", "io1", "io2", "st1", "sc1"] = "gp3"
    iops: Annotated[int, Field(ge=100, le=256000)] | None = None
    throughput: Annotated[int, Field(ge=125, le=2000)] | None = None
    """MiB/s, gp3 only."""
    deletion_policy: DeletionPolicy = DeletionPolicy.DELETE
    """What becomes of it: deleted with the instance; snapshotted first, as a new version of its dataset; kept."""
    retain_for: Annotated[Duration, Field(examples=["30d"])] | None = None
    """How long a kept volume may lie there before `make audit` complains."""
    reason: Reason | None = None
    """Why it is kept."""

    @model_validator(mode="after")
    def _retain_requires_reason(self) -> Volume:
        missing = [key for key in ("retain_for", "reason") if getattr(self, key) is None]
        if self.deletion_policy is DeletionPolicy.RETAIN and missing:
            examples = {"retain_for": 'retain_for = "30d"', "reason": 'reason = "until the paper is out"'}
            wanted = " and ".join(examples[key] for key in missing)
            message = f'deletion_policy = "retain" wants {wanted}: a kept volume costs until somebody deletes it'
            raise ValueError(message)
        if self.retain_for is not None and self.retain_for > LONGEST:
            message = (
                f'retain_for = "{duration_text(self.retain_for)}" is longer than anybody remembers (at most 3650d)'
            )
            raise ValueError(message)
        if self.deletion_policy is not DeletionPolicy.RETAIN and len(missing) < 2:  # noqa: PLR2004 - both
            message = 'retain_for and reason are of a volume that is kept; deletion_policy = "retain" keeps it'
            raise ValueError(message)
        return self


class Data(Volume):
    """A dataset's volume: made from the newest snapshot of the dataset, or of the version that is named."""

    dataset: Name
    version: Annotated[str, Field(min_length=1, max_length=64, examples=["2026-11"])] | None = None
    read_only: bool = False
    size_gib: Gib | None = None
    """Size; the snapshot's own when left out."""
    initialization_rate: Annotated[int, Field(ge=100, le=300)] | None = None
    """MiB/s at which EC2 loads the blocks ahead of their first reading; charged."""


class Scratch(Volume):
    """An empty volume, formatted at the instance's first boot."""

    size_gib: Gib
    filesystem: Filesystem = "ext4"
    dataset: Name | None = None
    """The dataset that it becomes a version of, where deletion_policy is "snapshot"."""
    version: Annotated[str, matching(r"\S{1,64}", "a version (no spaces, at most 64 characters)")] | None = None
    """What that version is called; the next number when left out."""

    @model_validator(mode="after")
    def _a_snapshot_has_a_name(self) -> Scratch:
        if self.deletion_policy is DeletionPolicy.SNAPSHOT and self.dataset is None:
            message = (
                'deletion_policy = "snapshot" wants a name: dataset = "…", which the snapshot becomes a version of'
            )
            raise ValueError(message)
        return self


class InstanceStore(Mounted):
    """The instance's own NVMe disks, RAID 0 over them if there are several; empty again after every stop."""

    filesystem: Filesystem = "ext4"
