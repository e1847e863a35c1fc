#!/usr/bin/env python3
"""Mount the data volumes of an ec2-lab machine. Runs at the machine's first boot, as root, on Python 3.7 or later.

    mount-volumes VOLUMES.json    [{"device": "/dev/sdf", "uuid": "…" or null, "mount": "/data", "read_only": false}]

A volume is found by its file system's UUID, or by the device name that it was asked for with: on Nitro machines the
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
    """Return the block device of a volume; None where it has not appeared (yet)."""
    letter = volume["device"][len("/dev/sd") :]
    named = [pathlib.Path(volume["device"]), pathlib.Path("/dev/xvd" + letter)]
    if volume.get("uuid"):
        named.insert(0, pathlib.Path("/dev/disk/by-uuid") / volume["uuid"])
    present = next((path for path in named if path.is_block_device()), None)
    return present or nvme_disk(volume["device"])


def wait_for(volume: dict) -> pathlib.Path:
    """Return the block device of a volume, or end with what is missing."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        device = find(volume)
        if device:
            return device
        time.sleep(1)
    raise SystemExit(f"volume {volume['device']} for {volume['mount']} did not appear")


def filesystem(device: pathlib.Path) -> tuple[str, str]:
    """Return (type, UUID) of the file system on a disk or on its one partition."""
    listed = subprocess.check_output(["lsblk", "--json", "--output", "FSTYPE,UUID", str(device)])
    found = [d for d in flat(json.loads(listed.decode())["blockdevices"]) if d.get("fstype") and d.get("uuid")]
    if len(found) != 1:
        raise SystemExit(f"{device}: {len(found)} file systems found, one is wanted; nothing is mounted")
    return found[0]["fstype"], found[0]["uuid"]


def flat(devices: list[dict]) -> list[dict]:
    """Return lsblk's tree of devices as a list."""
    return [inner for device in devices for inner in [device, *flat(device.get("children", []))]]


def entry(volume: dict, kind: str, uuid: str) -> str:
    """Return the line of /etc/fstab: by UUID, and `nofail`, or a missing volume would keep the machine from booting."""
    options = ["defaults", "nofail", "x-systemd.device-timeout=30s"]
    options += ["ro"] if volume["read_only"] else []
    options += ["nouuid"] if kind == "xfs" else []  # XFS refuses a second volume of one snapshot otherwise
    return f"UUID={uuid} {volume['mount']} {kind} {','.join(options)} 0 2\n"


def mount(volume: dict, fstab: pathlib.Path) -> None:
    """Mount one volume, now and at every boot."""
    device = wait_for(volume)
    kind, uuid = filesystem(device)
    pathlib.Path(volume["mount"]).mkdir(parents=True, exist_ok=True)
    lines = [line for line in fstab.read_text().splitlines(True) if line.split()[1:2] != [volume["mount"]]]
    fstab.write_text("".join(lines) + entry(volume, kind, uuid))
    if not os.path.ismount(volume["mount"]):
        subprocess.check_call(["mount", volume["mount"]])
    print(f"ec2-lab: {device} ({kind}, UUID {uuid}) is mounted on {volume['mount']}", flush=True)


def main(path: str) -> None:
    """Mount every volume that a file lists."""
    for volume in json.loads(pathlib.Path(path).read_text()):
        mount(volume, pathlib.Path("/etc/fstab"))


if __name__ == "__main__":
    main(sys.argv[1])
