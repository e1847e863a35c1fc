"""What has a list price, and how it is called: in the shipped file, in the cache, and when AWS is asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """What is paid for, and by which measure."""

    MACHINE = "machine"
    """On-demand Linux, dollars an hour."""
    SIZE = "size"
    """Of a volume type, dollars a GiB and month."""
    IOPS = "iops"
    """Of a volume type, dollars an operation a second and month."""
    THROUGHPUT = "throughput"
    """Of a volume type, dollars a GiB/s and month."""
    SNAPSHOT = "snapshot"
    """Dollars a GiB and month, in the standard tier."""
    ADDRESS = "address"
    """A public IPv4 address in use, dollars an hour."""
    IDLE_ADDRESS = "idle-address"
    """One that is not in use, dollars an hour."""
    FAST_RESTORE = "fast-restore"
    """Of a snapshot in a zone, dollars a DSU-hour."""
    INITIALIZATION = "initialization"
    """At a provisioned rate, dollars a GiB of the snapshot."""


@dataclass(frozen=True, slots=True)
class Priced:
    """One thing with a list price."""

    unit: Unit
    region: str
    name: str = ""
    """The type of machine or volume; empty where there is only one."""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.unit, self.region, self.name)))


VOLUME_USAGE = {
    Unit.SIZE: "EBS:VolumeUsage", Unit.IOPS: "EBS:VolumeP-IOPS", Unit.THROUGHPUT: "EBS:VolumeP-Throughput",
}  # fmt: skip


def volume_usage(unit: Unit, kind: str) -> str:
    """Return AWS's usage type of what is paid for of a volume type, without the region in front.

    That of io2's iops means the first 32,000.
    """
    return VOLUME_USAGE[unit] + {"io1": ".piops", "standard": ""}.get(kind, f".{kind}")
