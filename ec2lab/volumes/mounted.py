"""A volume as a host has it mounted: the host tells of the file system, AWS of the volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ec2lab.errors import UserError
from ec2lab.hosts.protocol import said
from ec2lab.hosts.ssh import Host
from ec2lab.registry.shapes import LINE, YES_OR_NO, members, pattern, whole
from ec2lab.volumes.volumes_on_host import describing


@dataclass(frozen=True, slots=True)
class MountedVolume:
    """A file system on a host, and the volume that it is on."""

    mount: str
    device: str
    disk: str
    """What its device lies on; empty where that are several disks, or none."""
    id: str
    """vol-…; empty where the host can't tell."""
    filesystem: str
    uuid: str
    label: str
    read_only: bool
    bytes_used: int
    bytes_total: int


MOUNTED = members(
    mount=LINE, device=LINE, disk=LINE, id=pattern(r"(vol-[0-9a-f]{1,32})?"), filesystem=LINE, uuid=LINE, label=LINE,
    read_only=YES_OR_NO, bytes_used=whole(0, 2**62), bytes_total=whole(0, 2**62), others="ignore",
)  # fmt: skip


def list_mounted(host: Host) -> list[MountedVolume]:
    """Ask a host which volumes it has mounted. Raises Unreachable, Failed."""
    told = host.run_as_root(describing(), "describe")
    return mounted_in(told, host.name)


def mounted_in(text: str, who: str) -> list[MountedVolume]:
    """Read what templates/volumes-over-ssh.py prints. Raises UserError, which names `who` printed it."""
    return [MountedVolume(**said(line, MOUNTED, who)) for line in text.splitlines() if line.startswith("{")]


def select_volume(host: Host, mounted: Sequence[MountedVolume], mount: str, volume: str) -> MountedVolume:
    """Return the one that is meant: by its mount point, by its id, or because there is no other. Raises UserError."""
    # A disk that can't tell its volume's id (not NVMe) may be the volume that is named.
    wanted = [m for m in mounted if mount in ("", m.mount) and (not volume or m.id in ("", volume))]
    if len(wanted) == 1:
        return wanted[0]
    there = ", ".join(f"{m.id or m.device} on {m.mount}" for m in mounted) or "none"
    named = " ".join(filter(None, (volume, mount and f"MOUNT={mount}"))) or "no VOLUME and no MOUNT"
    raise UserError(f"{host.name}: {named} names {len(wanted)} of its volumes (it has {there})")
