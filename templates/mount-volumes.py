#!/usr/bin/python3 -I
"""Mount the volumes of an ec2-lab instance. Runs as root, at every boot, on Python 3.9 or later.

It mounts everything listed in /etc/ec2-lab/volumes.json, without /etc/fstab. volumes-over-ssh changes that list.

A volume is found by its requested device name, or by its file system's UUID: on Nitro instances the kernel names disks
in any order, but each EBS disk has the requested name in its NVMe identify page
(https://docs.aws.amazon.com/ebs/latest/userguide/identify-nvme-ebs-device.html).

Only an empty disk is ever formatted, and only if "format" says so. Nothing is mounted where a user other than root
could place a link, now or before the next boot. Mounts are nosuid and nodev unless "options" say suid or dev.

NOT MOUNTED on the console means what it says. PROBLEM means that the volume is mounted, according to the kernel's mount
table, but differs from the configuration: not grown, or without its owner.
"""

from __future__ import annotations

import collections.abc
import contextlib
import ctypes
import dataclasses
import fcntl
import grp
import json
import os
import pathlib
import pwd
import struct
import subprocess
import sys
import time

VOLUMES = pathlib.Path("/etc/ec2-lab/volumes.json")
BLOCK_DEVICES = pathlib.Path("/sys/class/block")
PATIENCE = 120
"""Seconds to wait for a volume to appear."""
NVME_ADMIN_COMMAND = 0xC0484E41
"""_IOWR('N', 0x41, struct nvme_admin_cmd), linux/nvme_ioctl.h."""
ADMIN_COMMAND = "<B23xQ4xII28x"
"""The fields of struct nvme_admin_cmd that are set: opcode, addr, data_len and cdw10."""
IDENTIFY, IDENTIFY_CONTROLLER = 0x06, 1
DEVICE_NAME = slice(3072, 3104)
"""Where EBS writes the requested device name: the first 32 bytes of the vendor's part of the identify page."""
EBS, INSTANCE_STORE = "Amazon Elastic Block Store", "Amazon EC2 NVMe Instance Storage"
ARRAY = pathlib.Path("/dev/md/ec2-lab")
LABEL_LENGTH = 12
"""Characters of a label on XFS; ext4 allows 16."""
FILESYSTEMS = ("ext4", "xfs", "ext3", "btrfs")
NOTHING_FOUND = 2
"""blkid's exit code."""
NO_SUCH_DEVICE = 32
"""lsblk's."""
MIB, GIB = 1 << 20, 1 << 30
SECTOR = 512
"""The unit of sizes in the kernel, whatever the disk's own sectors are."""
MBR_LIMIT = SECTOR << 32
"""The size that an MBR partition table can address: 2 TiB."""
EDGE = 4 * MIB
"""At either end of a disk: signatures, and space that alignment may leave unused."""
NEARLY_ALL = 0.95
"""The share of its disk of a logical volume that fills it; the rest is LVM metadata."""
PACKAGES = {
    "btrfs": "btrfs-progs", "mkfs.xfs": "xfsprogs", "pvs": "lvm2", "xfs_growfs": "xfsprogs",
}  # fmt: skip
"""Packages whose name differs from the command's."""


class NotMounted(Exception):
    """A volume cannot be mounted, and why."""


class NotInstalled(NotMounted):
    """A command is missing; names its package."""


class CommandFailed(NotMounted):
    """A command failed, with its output."""


@dataclasses.dataclass(frozen=True)
class Volume:
    """One entry of volumes.json."""

    mount: str
    source: str = "ebs"
    device: str = ""
    uuid: str = ""
    read_only: bool = False
    format: str = ""
    owner: str = ""
    mode: str = ""
    options: tuple = ()

    @classmethod
    def read(cls, entry: dict) -> Volume:
        """Parse an entry; null and unknown members are ignored."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in entry.items() if key in known and value is not None})


# Disks


Disk = collections.namedtuple("Disk", "path model")  # noqa: PYI024 - user data has little room


def name_of(disk: Disk) -> str:
    """Return the name that a disk was requested with, "sdf": from EBS, or the kernel's own on older types."""
    if disk.model == EBS:
        return requested_name(identify(disk.path))
    return pathlib.Path(disk.path).name


def requested_name(page: bytes) -> str:
    """Return the device name in an identify page, "sdf" for "/dev/sdf": EBS writes it with or without /dev/."""
    name = bytes(page[DEVICE_NAME]).split(b"\0")[0].decode("ascii", "replace").strip()
    return name.removeprefix("/dev/")


def identify(disk: str) -> bytes:
    """Return the identify page of the NVMe controller of a disk such as /dev/nvme1n1."""
    page = ctypes.create_string_buffer(4096)
    command = struct.pack(ADMIN_COMMAND, IDENTIFY, ctypes.addressof(page), len(page), IDENTIFY_CONTROLLER)
    with pathlib.Path(disk).open("rb", buffering=0) as device:
        fcntl.ioctl(device, NVME_ADMIN_COMMAND, command)
    return page.raw


def lsblk(*columns: str, disk: str = "") -> list:
    """Return lsblk's values for all block devices, or for a disk and its descendants, as a flat list."""
    command = ["lsblk", "--json", "--list", "--output", ",".join(columns), *([disk] if disk else [])]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if disk and told.returncode == NO_SUCH_DEVICE:
        return []  # it was detached meanwhile
    told.check_returncode()
    return json.loads(told.stdout.decode())["blockdevices"]


def disks() -> list:
    """Return all disks."""
    found = lsblk("PATH", "TYPE", "MODEL")
    return [Disk(d["path"], (d["model"] or "").strip()) for d in found if d["type"] in ("disk", "loop")]


def find(volume: Volume, taken: set) -> str:
    """Return the disk of a volume; empty where it has not appeared (yet).

    By name first: two volumes of one dataset have the same UUID. Raises NotMounted where several match.
    """
    wanted, candidates = volume.device[len("/dev/") :], disks()
    names = (wanted, "xvd" + wanted[2:]) if wanted else ()
    for disk in candidates:
        if disk.model != INSTANCE_STORE and name_of(disk) in names:
            return disk.path
    free = [disk.path for disk in candidates if volume.uuid in uuids(disk.path) and disk.path not in taken]
    if len(free) > 1:
        several = " and ".join(free)
        raise NotMounted(f"{several} have the same UUID {volume.uuid}")
    return free[0] if free else ""


def wait_for(find: collections.abc.Callable, what: str) -> str:
    """Return the disk once it appears, or raise NotMounted."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if disk := find():
            return disk
        time.sleep(1)
    raise NotMounted(f"its volume {what} did not appear")


def kernels_own(device: str) -> pathlib.Path:
    """Return the kernel's directory of a block device."""
    return (BLOCK_DEVICES / pathlib.Path(device).resolve().name).resolve()


def size(device: str) -> int:
    """Return the size of a block device in bytes."""
    with pathlib.Path(device).open("rb") as disk:
        return disk.seek(0, os.SEEK_END)


def instance_store() -> str:
    """Return the instance store disk, or the array over several; assembled again after every stop."""
    own = sorted(disk.path for disk in disks() if disk.model == INSTANCE_STORE)
    if not own:
        raise NotMounted("the instance has no disks of its own")
    if made := made_by_the_image(own):
        return made
    if len(own) == 1:
        return own[0]
    if not ARRAY.exists():
        with contextlib.suppress(CommandFailed):  # none was created yet
            run("mdadm", "--assemble", str(ARRAY), *own)
    if not ARRAY.exists():
        for disk in own:
            refuse_unless_empty(disk)
        level = ["--level=0", f"--raid-devices={len(own)}", "--run", "--homehost=any"]
        run("mdadm", "--create", str(ARRAY), *level, *own)
    return os.path.realpath(ARRAY)


def made_by_the_image(own: list) -> str:
    """Return the one logical volume on all of these disks; empty where there is none.

    AWS's Deep Learning images create one at boot (dlami-nvme.service), with a file system, mounted on /opt/dlami/nvme.
    """
    below = [{d["path"] for d in lsblk("PATH", "TYPE", disk=disk) if d["type"] == "lvm"} for disk in own]
    common = set.intersection(*below)
    return common.pop() if len(common) == 1 else ""


# Commands


def run(*command: str) -> str:
    """Run a command and return its output. Raises NotInstalled, and CommandFailed with the command's own output."""
    try:
        done = subprocess.run(command, capture_output=True, check=False, text=True, errors="replace")
    except FileNotFoundError as missing:
        package = PACKAGES.get(command[0], command[0])
        raise NotInstalled(f"{command[0]} is not installed: install {package}") from missing
    if done.returncode:
        raise CommandFailed("; ".join((done.stderr or done.stdout or command[0]).strip().splitlines()[-2:]))
    return done.stdout


# File systems


def probe(path: str) -> dict:
    """Return what a device itself carries (TYPE, UUID, LABEL, PTTYPE; blkid(8)), not udev's cache of it."""
    told = subprocess.run(["blkid", "-p", "-o", "export", path], stdout=subprocess.PIPE, check=False)
    if told.returncode not in (0, NOTHING_FOUND):
        return {"TYPE": f"more than one thing, or what can't be read (`wipefs {path}` shows it)"}
    return dict(line.split("=", 1) for line in told.stdout.decode().splitlines() if "=" in line)


def parts(path: str) -> list:
    """Return a disk and its descendants, each with what it carries."""
    return [(device["path"], probe(device["path"])) for device in lsblk("PATH", disk=path)]


def uuids(path: str) -> list:
    """Return the UUIDs of the file systems on a disk and on its partitions."""
    return [told.get("UUID") for _, told in parts(path) if told.get("TYPE") in FILESYSTEMS]


def refuse_unless_empty(path: str) -> None:
    """Raise NotMounted where a disk carries anything: a file system, a partition table, anything but zeros."""
    told = [one for _, one in parts(path)]
    carries = ", ".join(filter(None, (one.get("TYPE") or one.get("PTTYPE") for one in told)))
    with pathlib.Path(path).open("rb") as disk:
        edges = disk.read(EDGE)
        disk.seek(-min(EDGE, size(path)), os.SEEK_END)
        edges += disk.read()
    if carries or len(told) > 1 or edges.strip(b"\0"):
        what = carries or "what blkid does not know"
        raise NotMounted(f"{path} carries {what}; it is not formatted")


FileSystem = collections.namedtuple("FileSystem", "device kind uuid")  # noqa: PYI024 - user data has little room
"""A file system, and the disk, partition or logical volume that carries it."""


def filesystem(path: str) -> FileSystem | None:
    """Return the file system on a disk, on its one partition, or on its one logical volume.

    Raises NotMounted where there are several.
    """
    found = [(part, told) for part, told in parts(path) if told.get("TYPE") in FILESYSTEMS]
    if len(found) > 1:
        raise NotMounted(f"{path} carries {len(found)} file systems; one is wanted")
    return next((FileSystem(part, told["TYPE"], told["UUID"]) for part, told in found), None)


def activate(path: str) -> str:
    """Activate the volume group on a disk or on its partition, if there is one.

    Raises NotMounted, with LVM's output, where one of its disks is missing, or another group has its name.
    """
    # Otherwise LVM sees only what /etc/lvm/devices lists (RHEL 9), which no disk created from a snapshot is in.
    seeing_all = ["--config", "devices/use_devicesfile=0"]
    members = [part for part, told in parts(path) if told.get("TYPE") == "LVM2_member"]
    groups = {run("pvs", *seeing_all, "--noheadings", "--options", "vg_name", part).strip() for part in members}
    for group in filter(None, groups):
        run("vgchange", *seeing_all, "-ay", group)
    return ""


def make_filesystem(path: str, kind: str, mount: str) -> None:
    """Create a file system on a disk that carries nothing."""
    refuse_unless_empty(path)
    label = mount.strip("/").replace("/", "-")[:LABEL_LENGTH]
    options = ["-q", "-K"] if kind == "xfs" else ["-q", "-E", "nodiscard"]
    run(f"mkfs.{kind}", *options, "-L", label, path)


def grow(found: FileSystem, disk: str, mount: str) -> str:
    """Grow a file system, and its partition, to fill the disk, and report it.

    Raises NotMounted where there is space that it cannot use.
    """
    before = os.statvfs(mount)
    grow_partition(found.device, disk)
    command = {"xfs": ["xfs_growfs", mount], "btrfs": ["btrfs", "filesystem", "resize", "max", mount]}
    try:
        run(*command.get(found.kind, ["resize2fs", found.device]))
    except NotInstalled:
        if found.kind != "xfs" or xfs_size(found.device) < size(found.device) - EDGE:
            raise
    after = os.statvfs(mount)
    if after.f_blocks <= before.f_blocks:
        return ""
    sizes = [room.f_blocks * room.f_frsize / GIB for room in (before, after)]
    return f", grown from {sizes[0]:.1f} to {sizes[1]:.1f} GiB"


def xfs_size(device: str) -> int:
    """Return the size of an XFS with its log, which statvfs(2) leaves out: from its superblock, big-endian."""
    with pathlib.Path(device).open("rb") as disk:
        _, length, blocks = struct.unpack(">4sIQ", disk.read(16))
    return length * blocks


def grow_partition(device: str, disk: str) -> str:
    """Grow a partition into the free space behind it. Raises NotMounted where that fails."""
    own = kernels_own(device)
    if (own / "dm").exists() and size(device) < size(disk) * NEARLY_ALL:
        raise NotMounted("not grown: it is a logical volume (`pvresize`, `lvextend -r`)")
    if not (own / "partition").exists():
        return ""
    start, length, number = (int((own / name).read_text()) for name in ("start", "size", "partition"))
    if size(disk) - (start + length) * SECTOR <= EDGE:
        return ""
    if size(disk) > MBR_LIMIT and probe(disk).get("PTTYPE") == "dos":
        raise NotMounted(f"not grown: the partition table of {disk} is an MBR, which ends at 2 TiB (`sgdisk -g`: GPT)")
    PACKAGES["growpart"] = "cloud-guest-utils or cloud-utils-growpart"
    return run("growpart", disk, str(number))


def give(volume: Volume) -> str:
    """Set the mount point's owner and mode, and report it."""
    user, _, group = volume.owner.partition(":")
    try:
        uid, gid = (pwd.getpwnam(user).pw_uid if user else -1), (grp.getgrnam(group).gr_gid if group else -1)
    except KeyError as unknown:
        raise NotMounted(f"its owner is not set: {unknown.args[0]}") from unknown
    if volume.owner:
        os.chown(volume.mount, uid, gid)
    if volume.mode:
        pathlib.Path(volume.mount).chmod(int(volume.mode, 8))
    return f", owner {volume.owner}" if volume.owner else ""


def mounted_at(point: str) -> str:
    """Return the device mounted on a directory; empty where there is none."""
    command = ["findmnt", "-nvo", "SOURCE", "-M", point]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout.decode(errors="replace")
    return told.split("\n")[-2:][0]  # the last one is on top


def options(volume: Volume, kind: str) -> list:
    """Return the mount options: the content may come from anywhere."""
    safe = [f"no{option}" for option in ("suid", "dev") if option not in volume.options]
    chosen = [option for option in volume.options if option not in ("suid", "dev")]
    # Without nouuid, XFS refuses a second volume from one snapshot.
    return safe + chosen + (["ro"] if volume.read_only else []) + (["nouuid"] if kind == "xfs" else [])


def same_device(one: str, other: str) -> bool:
    """Say whether two paths are the same device."""
    return os.path.realpath(one) == os.path.realpath(other)


# Mounting


def make_mount_point(path: str) -> None:
    """Create a missing directory, through directories that only root can write to, following no link.

    Raises NotMounted.
    """
    here, way = os.open("/", os.O_RDONLY | os.O_DIRECTORY), ""
    for name in path.strip("/").split("/"):
        info = os.fstat(here)
        if info.st_uid or info.st_mode & (0o022 if info.st_gid else 0o002):
            os.close(here)
            way = way or "/"
            raise NotMounted(f"users other than root can write {way}, and could place a link there")
        way += f"/{name}"
        try:
            if not os.access(name, os.F_OK, dir_fd=here, follow_symlinks=False):
                os.mkdir(name, 0o755, dir_fd=here)
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
        except OSError as problem:
            real = os.path.realpath(way)
            what = "no directory" if real == way else f"a link to {real}"
            raise NotMounted(f"{way} is {what}") from problem
        finally:
            os.close(here)
        here = below
    os.close(here)


def refuse_in_what_is_not_mounted(path: str) -> None:
    """Raise NotMounted where a mount point is within another volume's that is not mounted: it would be hidden."""
    for mount in (entry["mount"] for entry in entries()):
        if path.startswith(f"{mount}/") and not mounted_at(mount):
            raise NotMounted(f"{mount}, which it lies in, is not mounted")


def carried_by(disk: str, volume: Volume) -> FileSystem | None:
    """Return a volume's file system; None where it is to be created. Raises NotMounted."""
    found = filesystem(disk)
    if not found:
        activate(disk)
        found = filesystem(disk)
    if not found:
        refuse_unless_empty(disk)
        if not volume.format:
            raise NotMounted(f"{disk} is empty; it is not formatted, because the configuration does not say so")
    return found


def mount(volume: Volume, disk: str) -> tuple:
    """Mount a disk. Return its file system, and what else is not as requested."""
    refuse_in_what_is_not_mounted(volume.mount)
    found = carried_by(disk, volume)
    make_mount_point(volume.mount)
    made = ""
    if not found:
        make_filesystem(disk, volume.format, volume.mount)
        found, made = filesystem(disk), ", formatted"
    if not mounted_at(volume.mount):
        if any(pathlib.Path(volume.mount).iterdir()):
            made += ", over files that it hides"
        run("mount", "-o", ",".join(options(volume, found.kind)), found.device, volume.mount)
    there = mounted_at(volume.mount)
    if not same_device(there, found.device):
        there = there or "nothing"
        raise NotMounted(f"{there} is mounted there, and not {found.device}")
    rights = "read-only" if os.statvfs(volume.mount).f_flag & os.ST_RDONLY else "read-write"
    problems: list = []
    if not volume.read_only:
        made += finish(volume, found, disk, problems)
    say(f"{found.device} ({found.kind}) is mounted on {volume.mount}, {rights}{made}")
    for problem in problems:
        say(f"PROBLEM: {volume.mount}: it is mounted, but {problem}")
    return found, problems


def finish(volume: Volume, found: FileSystem, disk: str, problems: list) -> str:
    """Grow a mounted file system and set its owner; report it, and add failures to the problems."""
    said = ""
    for done in (lambda: grow(found, disk, volume.mount), lambda: give(volume)):
        try:
            said += done()
        except (NotMounted, OSError) as problem:
            problems.append(str(problem))
    return said


def disk_of(volume: Volume, taken: set) -> str:
    """Return the disk of a volume of the launch, or raise NotMounted."""
    if volume.source == "instance-store":
        return instance_store()
    return wait_for(lambda: find(volume, taken), volume.device or volume.uuid)


def mount_all(volumes: list) -> int:
    """Mount every volume, and report failures; 1 if there are any, or a volume is not as requested."""
    failed, taken = 0, set()
    for volume in volumes:
        try:
            disk = disk_of(volume, taken)
            taken.add(disk)
            failed |= bool(mount(volume, disk)[1])
        except (NotMounted, OSError, subprocess.CalledProcessError) as problem:
            failed = 1
            say(f"NOT MOUNTED: {volume.mount}: {problem}")
    return int(failed)


def entries() -> list:
    """Return the entries of volumes.json."""
    return json.loads(VOLUMES.read_text()) if VOLUMES.exists() else []


def say(line: str) -> None:
    """Report on the console."""
    print(f"ec2-lab: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(mount_all([Volume.read(entry) for entry in entries()]))
