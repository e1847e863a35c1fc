"""The file systems and volumes that an experiment mounts in addition to the root volume."""

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
    """A file system on the instance, and the owner of its mount point."""

    mount: MountPoint
    owner: Owner | None = None
    """The mount point's owner and group on the instance, "alice:docker". Default: unchanged."""
    mode: Annotated[str, matching(r"[0-7]{3,4}", 'an octal mode (try "2775")')] | None = None
    options: list[MountOption] = []
    """Mount options. Set-uid programs and device files work only with suid and dev."""

    @property
    def is_roots_alone(self) -> bool:
        """Whether only root can write to its mount point, by this configuration."""
        user = (self.owner or "").partition(":")[0]
        return user in ("", "root") and not int(self.mode or "0", 8) & 0o022


class Volume(Mounted):
    """A volume that is created with the instance."""

    type: Literal["gp3", "gp2", "io1", "io2", "st1", "sc1"] = "gp3"
    iops: Annotated[int, Field(ge=100, le=256000)] | None = None
    throughput: Annotated[int, Field(ge=125, le=2000)] | None = None
    """MiB/s, gp3 only."""
    deletion_policy: DeletionPolicy = DeletionPolicy.DELETE
    """What a teardown does: delete it, snapshot it first as a new version of its dataset, or retain it."""
    retain_for: Annotated[Duration, Field(examples=["30d"])] | None = None
    """How long a retained volume may exist before `make audit` reports it."""
    reason: Reason | None = None
    """Why it is retained."""

    @model_validator(mode="after")
    def _retain_requires_reason(self) -> Volume:
        missing = [key for key in ("retain_for", "reason") if getattr(self, key) is None]
        if self.deletion_policy is DeletionPolicy.RETAIN and missing:
            examples = {"retain_for": 'retain_for = "30d"', "reason": 'reason = "until the paper is out"'}
            wanted = " and ".join(examples[key] for key in missing)
            raise ValueError(
                f'deletion_policy = "retain" requires {wanted}: a retained volume costs money until it is deleted'
            )
        if self.retain_for is not None and self.retain_for > LONGEST:
            raise ValueError(f'retain_for = "{duration_text(self.retain_for)}" is too long (at most 3650d)')
        if self.deletion_policy is not DeletionPolicy.RETAIN and len(missing) < 2:  # noqa: PLR2004 - both
            raise ValueError('retain_for and reason require deletion_policy = "retain"')
        return self


class Data(Volume):
    """A volume created from a dataset: from its newest snapshot, or from the given version."""

    dataset: Name
    version: Annotated[str, Field(min_length=1, max_length=64, examples=["2026-11"])] | None = None
    read_only: bool = False
    size_gib: Gib | None = None
    """Size. Default: that of the snapshot."""
    initialization_rate: Annotated[int, Field(ge=100, le=300)] | None = None
    """MiB/s at which EC2 loads the blocks ahead of their first use. AWS charges for it."""


class Scratch(Volume):
    """An empty volume, formatted at the instance's first boot."""

    size_gib: Gib
    filesystem: Filesystem = "ext4"
    dataset: Name | None = None
    """The dataset that gets a new version if deletion_policy is "snapshot"."""
    version: Annotated[str, matching(r"\S{1,64}", "a version (no spaces, at most 64 characters)")] | None = None
    """Name of that version. Default: the next number."""

    @model_validator(mode="after")
    def _a_snapshot_has_a_name(self) -> Scratch:
        if self.deletion_policy is DeletionPolicy.SNAPSHOT and self.dataset is None:
            raise ValueError('deletion_policy = "snapshot" requires dataset = "…", the dataset that gets a new version')
        return self


class InstanceStore(Mounted):
    """The instance's own NVMe disks, as RAID 0 if there are several. A stop erases them."""

    filesystem: Filesystem = "ext4"
