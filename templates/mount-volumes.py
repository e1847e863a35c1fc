#!/usr/bin/env python3
"""Mount the data volumes of an ec2-lab machine. Runs at the machine's first boot, as root, on Python 3.9 or later.

    mount-volumes VOLUMES.json    [{"device": "/dev/sdf", "uuid": "…" or null, "mount": "/data", "read_only": false}]

A volume is found by the device name that it was asked for with, or by its file system's UUID: on Nitro machines the
kernel names disks in any order, and each EBS disk tells in its NVMe identify page which name that was
(https://docs.aws.amazon.com/ebs/latest/userguide/identify-nvme-ebs-device.html). Nothing is ever formatted.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import pathlib
import subprocess
import sys
import time

PATIENCE = 120
"""Seconds to wait for a volume to appear."""

NVME_ADMIN_COMMAND = 0xC0484E41
"""_IOWR('N', 0x41, struct nvme_admin_cmd), linux/nvme_ioctl.h."""
IDENTIFY = 0x06
IDENTIFY_CONTROLLER = 1
DEVICE_NAME = slice(3072, 3104)
"""Where EBS writes the requested device name: the first 32 bytes of the vendor's part of the identify page."""


class NotMounted(Exception):
    """A volume can't be mounted, and why."""


class AdminCommand(ctypes.Structure):
    """struct nvme_admin_cmd of linux/nvme_ioctl.h."""

    _fields_ = [
        ("opcode", ctypes.c_uint8),
        ("flags", ctypes.c_uint8),
        ("reserved", ctypes.c_uint16),
        ("namespace", ctypes.c_uint32),
        ("cdw2", ctypes.c_uint32),
        ("cdw3", ctypes.c_uint32),
        ("metadata", ctypes.c_uint64),
        ("address", ctypes.c_uint64),
        ("metadata_length", ctypes.c_uint32),
        ("data_length", ctypes.c_uint32),
        ("cdw10", ctypes.c_uint32),
        ("cdw11", ctypes.c_uint32),
        ("cdw12", ctypes.c_uint32),
        ("cdw13", ctypes.c_uint32),
        ("cdw14", ctypes.c_uint32),
        ("cdw15", ctypes.c_uint32),
        ("timeout", ctypes.c_uint32),
        ("result", ctypes.c_uint32),
    ]


def requested_name(page: bytes) -> str:
    """Return the device name in an identify page, "sdf" for "/dev/sdf": EBS writes it with or without /dev/."""
    name = bytes(page[DEVICE_NAME]).split(b"\0")[0].decode("ascii", "replace").strip()
    return name.removeprefix("/dev/")


def identify(controller: str) -> bytes:
    """Return the identify page of an NVMe controller such as /dev/nvme1."""
    page = (ctypes.c_uint8 * 4096)()
    command = AdminCommand(
        opcode=IDENTIFY, address=ctypes.addressof(page), data_length=len(page), cdw10=IDENTIFY_CONTROLLER
    )
    with pathlib.Path(controller).open("rb", buffering=0) as device:
        fcntl.ioctl(device, NVME_ADMIN_COMMAND, command)
    return bytes(page)


def nvme_disk(device: str) -> pathlib.Path | None:
    """Return the NVMe disk of an EBS volume by its requested name; None where there is none (yet)."""
    for controller in sorted(pathlib.Path("/sys/class/nvme").glob("nvme*")):
        if (controller / "model").read_text().strip() != "Amazon Elastic Block Store":
            continue  # instance store: not ours to mount by guess
        if requested_name(identify("/dev/" + controller.name)) == device[len("/dev/") :]:
            disk = pathlib.Path("/dev/" + controller.name + "n1")
            return disk if disk.exists() else None
    return None


def find(volume: dict) -> pathlib.Path | None:
    """Return the block device of a volume; None where it has not appeared (yet).

    By its name first: two volumes of one data set have the same UUID.
    """
    letter = volume["device"][len("/dev/sd") :]
    named = [pathlib.Path(volume["device"]), pathlib.Path("/dev/xvd" + letter)]
    found = next((path for path in named if path.is_block_device()), None) or nvme_disk(volume["device"])
    by_uuid = pathlib.Path("/dev/disk/by-uuid") / (volume.get("uuid") or "none")
    return found or (by_uuid if by_uuid.is_block_device() else None)


def wait_for(volume: dict) -> pathlib.Path:
    """Return the block device of a volume, or raise NotMounted."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        device = find(volume)
        if device:
            return device
        time.sleep(1)
    raise NotMounted(f"volume {volume['device']} for {volume['mount']} did not appear")


def filesystem(device: pathlib.Path) -> tuple[str, str]:
    """Return (type, UUID) of the file system on a disk or on its one partition."""
    listed = subprocess.check_output(["lsblk", "--json", "--output", "FSTYPE,UUID", str(device)])
    found = [d for d in flat(json.loads(listed.decode())["blockdevices"]) if d.get("fstype") and d.get("uuid")]
    if len(found) != 1:
        raise NotMounted(f"{device}: {len(found)} file systems found, one is wanted; nothing is mounted")
    return found[0]["fstype"], found[0]["uuid"]


def flat(devices: list[dict]) -> list[dict]:
    """Return lsblk's tree of devices as a list."""
    return [inner for device in devices for inner in [device, *flat(device.get("children", []))]]


def source(device: pathlib.Path, uuid: str) -> str:
    """Return what /etc/fstab names a volume by: its UUID, or where two have the same, the volume's id."""
    listed = subprocess.check_output(["lsblk", "--json", "--output", "UUID"])
    same = [d for d in flat(json.loads(listed.decode())["blockdevices"]) if d.get("uuid") == uuid]
    if len(same) == 1:
        return f"UUID={uuid}"
    links = pathlib.Path("/dev/disk/by-id").glob("nvme-Amazon_Elastic_Block_Store_vol*")
    return str(next((link for link in sorted(links) if link.resolve() == device.resolve()), device))


def entry(volume: dict, kind: str, what: str) -> str:
    """Return the line of /etc/fstab; `nofail`, or a missing volume would keep the machine from booting."""
    options = ["defaults", "nofail", "x-systemd.device-timeout=30s"]
    options += ["ro"] if volume["read_only"] else []
    options += ["nouuid"] if kind == "xfs" else []  # XFS refuses a second volume of one snapshot otherwise
    return f"{what} {volume['mount']} {kind} {','.join(options)} 0 2\n"


def is_entry_of(line: str, mount_point: str) -> bool:
    """Say whether a line of /etc/fstab mounts something there."""
    return not line.startswith("#") and line.split()[1:2] == [mount_point]


def mount(volume: dict, fstab: pathlib.Path) -> None:
    """Mount one volume, now and at every boot."""
    device = wait_for(volume)
    kind, uuid = filesystem(device)
    pathlib.Path(volume["mount"]).mkdir(parents=True, exist_ok=True)
    lines = [line for line in fstab.read_text().splitlines(True) if not is_entry_of(line, volume["mount"])]
    fstab.write_text("".join(lines) + entry(volume, kind, source(device, uuid)))
    if not os.path.ismount(volume["mount"]):
        subprocess.check_call(["mount", volume["mount"]])
    print(f"ec2-lab: {device} ({kind}, UUID {uuid}) is mounted on {volume['mount']}", flush=True)


def main(path: str) -> int:
    """Mount every volume that a file lists, and say which could not be; 1 if any."""
    failed = 0
    for volume in json.loads(pathlib.Path(path).read_text()):
        try:
            mount(volume, pathlib.Path("/etc/fstab"))
        except (NotMounted, OSError, subprocess.CalledProcessError) as problem:
            failed = 1
            print(f"ec2-lab: NOT MOUNTED: {volume['mount']}: {problem}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
