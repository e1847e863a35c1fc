#!/usr/bin/python3 -I
"""Mount the volumes of an ec2-lab machine. Runs as root, at every boot, on Python 3.9 or later.

    mount-volumes                    mount all that /etc/ec2-lab/volumes.json lists
    mount-volumes --add -            mount the one volume on standard input, and list it from now on
    mount-volumes --unmount /data    unmount, and list it no more
    mount-volumes --describe         tell of what is mounted from disks, one JSON object a line

A volume is found by its id, by the device name that it was asked for with, by its file system's UUID or its label: on
Nitro machines the kernel names disks in any order, but each EBS disk has its volume's id as its serial number, and
tells in its NVMe identify page which name was asked for
(https://docs.aws.amazon.com/ebs/latest/userguide/identify-nvme-ebs-device.html).

Only a disk that carries nothing at all is ever formatted, and only where "format" says so. Nothing is mounted where
another than root could lay a link, now or before the next boot. Mounts are nosuid and nodev, where "options" do not say
suid or dev.
"""

from __future__ import annotations

import ctypes
import dataclasses
import fcntl
import grp
import json
import os
import pathlib
import pwd
import subprocess
import sys
import time

VOLUMES = pathlib.Path("/etc/ec2-lab/volumes.json")
PATIENCE = 120
"""Seconds to wait for a volume to appear."""
NVME_ADMIN_COMMAND = 0xC0484E41
"""_IOWR('N', 0x41, struct nvme_admin_cmd), linux/nvme_ioctl.h."""
IDENTIFY, IDENTIFY_CONTROLLER = 0x06, 1
DEVICE_NAME = slice(3072, 3104)
"""Where EBS writes the requested device name: the first 32 bytes of the vendor's part of the identify page."""
EBS, INSTANCE_STORE = "Amazon Elastic Block Store", "Amazon EC2 NVMe Instance Storage"
ARRAY = pathlib.Path("/dev/md/ec2-lab")
LABEL_LENGTH = 12
"""Characters of a file system's label that XFS holds; ext4 holds 16."""
FILESYSTEMS = ("ext4", "xfs", "ext3", "btrfs")
NOTHING_FOUND = 2
"""blkid's exit code."""
NO_SUCH_DEVICE = 32
"""lsblk's."""
GIB = 1 << 30


class NotMounted(Exception):
    """A volume can't be mounted, and why."""


@dataclasses.dataclass(frozen=True)
class Volume:
    """One entry of volumes.json."""

    mount: str
    source: str = "ebs"
    device: str = ""
    volume: str = ""
    uuid: str = ""
    label: str = ""
    read_only: bool = False
    format: str = ""
    owner: str = ""
    mode: str = ""
    options: tuple = ()

    @classmethod
    def read(cls, entry: dict) -> Volume:
        """Read an entry; what is null or unknown counts as not there."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in entry.items() if key in known and value is not None})


class AdminCommand(ctypes.Structure):
    """struct nvme_admin_cmd of linux/nvme_ioctl.h."""

    _fields_ = [
        ("opcode", ctypes.c_uint8),
        ("flags", ctypes.c_uint8),
        ("reserved", ctypes.c_uint16),
        ("namespace", ctypes.c_uint32),
        ("cdw2", ctypes.c_uint32 * 2),
        ("metadata", ctypes.c_uint64),
        ("address", ctypes.c_uint64),
        ("metadata_length", ctypes.c_uint32),
        ("data_length", ctypes.c_uint32),
        ("cdw10", ctypes.c_uint32 * 6),
        ("timeout", ctypes.c_uint32),
        ("result", ctypes.c_uint32),
    ]


# Disks


@dataclasses.dataclass(frozen=True)
class Disk:
    """A block device, and what it tells of itself."""

    path: str
    model: str = ""
    volume: str = ""
    """vol-…, where its serial number is one."""

    @property
    def name(self) -> str:
        """The name that it was asked for with, "sdf": told by an EBS disk, or the kernel's own on older machines."""
        if self.model == EBS:
            return requested_name(identify(self.path))
        return pathlib.Path(self.path).name


def requested_name(page: bytes) -> str:
    """Return the device name in an identify page, "sdf" for "/dev/sdf": EBS writes it with or without /dev/."""
    name = bytes(page[DEVICE_NAME]).split(b"\0")[0].decode("ascii", "replace").strip()
    return name.removeprefix("/dev/")


def identify(disk: str) -> bytes:
    """Return the identify page of the NVMe controller of a disk such as /dev/nvme1n1."""
    page = (ctypes.c_uint8 * 4096)()
    command = AdminCommand(opcode=IDENTIFY, address=ctypes.addressof(page), data_length=len(page))
    command.cdw10[0] = IDENTIFY_CONTROLLER
    with pathlib.Path(disk).open("rb", buffering=0) as device:
        fcntl.ioctl(device, NVME_ADMIN_COMMAND, command)
    return bytes(page)


def volume_id(serial: str) -> str:
    """Return vol-0123… for an EBS disk's serial number vol0123…, which lacks the dash; nothing for any other."""
    return f"vol-{serial[3:].lstrip('-')}" if serial.startswith("vol") else ""


def lsblk(*columns: str, disk: str = "") -> list:
    """Return what lsblk tells of all block devices, or of a disk and what lies on it, as one flat list."""
    command = ["lsblk", "--json", "--bytes", "--output", ",".join(columns), *([disk] if disk else [])]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if disk and told.returncode == NO_SUCH_DEVICE:
        return []  # it was detached since all were listed
    told.check_returncode()
    return flat(json.loads(told.stdout.decode())["blockdevices"])


def flat(devices: list) -> list:
    """Return lsblk's tree of devices as a list."""
    return [inner for device in devices for inner in [device, *flat(device.get("children", []))]]


def disks() -> list:
    """Return all disks."""
    found = lsblk("PATH", "TYPE", "MODEL", "SERIAL")
    return [
        Disk(d["path"], (d["model"] or "").strip(), volume_id((d["serial"] or "").strip()))
        for d in found
        if d["type"] in ("disk", "loop")
    ]


def find(volume: Volume, candidates: list, taken: set) -> Disk | None:
    """Return the disk of a volume; None where it has not appeared (yet).

    By its id and its name first: two volumes of one data set have the same UUID. Raises NotMounted where several fit.
    """
    if volume.volume:
        by_id = [disk for disk in candidates if disk.volume == volume.volume]
        if by_id or volume.device == "":
            return by_id[0] if by_id else None
    wanted = volume.device[len("/dev/") :]
    names = (wanted, "xvd" + wanted[2:]) if wanted else ()
    named = [disk for disk in candidates if disk.model != INSTANCE_STORE and disk.name in names]
    if named:
        return named[0]
    for key, value in (("UUID", volume.uuid), ("LABEL", volume.label)):
        free = [disk for disk in candidates if value and disk.path not in taken and value in carried(disk.path, key)]
        if len(free) > 1:
            raise NotMounted(f"{' and '.join(disk.path for disk in free)} have the same {key} {value}")
        if free:
            return free[0]
    return None


def wait_for(volume: Volume, taken: set) -> Disk:
    """Return the disk of a volume, or raise NotMounted."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        disk = find(volume, disks(), taken)
        if disk:
            return disk
        time.sleep(1)
    raise NotMounted(f"its volume {volume.volume or volume.device or volume.uuid or volume.label} did not appear")


def instance_store() -> str:
    """Return the machine's own disk, or the array over them if there are several; made again after every stop."""
    own = sorted(disk.path for disk in disks() if disk.model == INSTANCE_STORE)
    if not own:
        raise NotMounted("this type of machine has no disks of its own")
    if made := made_by_the_image(own):
        return made
    if len(own) == 1:
        return own[0]
    if not ARRAY.exists():
        subprocess.call(["mdadm", "--assemble", str(ARRAY), *own], stderr=subprocess.DEVNULL)
    if not ARRAY.exists():
        for disk in own:
            refuse_unless_empty(disk)
        level = ["--level=0", f"--raid-devices={len(own)}", "--run", "--homehost=any"]
        subprocess.check_call(["mdadm", "--create", str(ARRAY), *level, *own], stdout=subprocess.DEVNULL)
    return os.path.realpath(ARRAY)


def made_by_the_image(own: list) -> str:
    """Return the one logical volume that lies on all of these disks; nothing where there is none.

    AWS's Deep Learning images make one at boot (dlami-nvme.service), with a file system, mounted on /opt/dlami/nvme.
    """
    below = [{d["path"] for d in lsblk("PATH", "TYPE", disk=disk) if d["type"] == "lvm"} for disk in own]
    common = set.intersection(*below)
    return common.pop() if len(common) == 1 else ""


# File systems


def probe(path: str) -> dict:
    """Return what a device itself carries (TYPE, UUID, LABEL, PTTYPE; blkid(8)), not what udev remembers of it."""
    told = subprocess.run(["blkid", "-p", "-o", "export", path], stdout=subprocess.PIPE, check=False)
    if told.returncode not in (0, NOTHING_FOUND):
        raise NotMounted(f"{path} carries more than one thing (`wipefs {path}` shows what)")
    return dict(line.split("=", 1) for line in told.stdout.decode().splitlines() if "=" in line)


def parts(path: str) -> list:
    """Return a disk and its partitions."""
    return [device["path"] for device in lsblk("PATH", disk=path)]


def carried(path: str, key: str) -> list:
    """Return the UUIDs or labels of the file systems on a disk and on its partitions."""
    found = [probe(part) for part in parts(path)]
    return [told[key] for told in found if told.get("TYPE") in FILESYSTEMS and key in told]


def refuse_unless_empty(path: str) -> None:
    """Raise NotMounted where a disk carries anything: a file system, a partition table, a member of an array."""
    told = probe(path)
    if carries := told.get("TYPE") or told.get("PTTYPE") or (len(parts(path)) > 1 and "partitions"):
        raise NotMounted(f"{path} carries {carries}; it is not formatted")


def filesystem(path: str) -> tuple:
    """Return (device, type, UUID, label) of the file system on a disk, or on its one partition; None if there is none.

    Raises NotMounted where there are several.
    """
    found = [(part, told) for part in parts(path) for told in [probe(part)] if told.get("TYPE") in FILESYSTEMS]
    if len(found) > 1:
        raise NotMounted(f"{path} carries {len(found)} file systems; one is wanted")
    if not found:
        return None
    device, told = found[0]
    return device, told["TYPE"], told["UUID"], told.get("LABEL", "")


def make_filesystem(path: str, kind: str, mount: str) -> None:
    """Make a file system on a disk that carries nothing at all."""
    refuse_unless_empty(path)
    label = mount.strip("/").replace("/", "-")[:LABEL_LENGTH]
    options = ["-q", "-K"] if kind == "xfs" else ["-q", "-E", "nodiscard"]
    subprocess.check_call([f"mkfs.{kind}", *options, "-L", label, path])


def grow(device: str, kind: str, mount: str) -> str:
    """Let a file system fill its device, and say so where it has become larger."""
    before = os.statvfs(mount)
    command = {"xfs": ["xfs_growfs", mount], "btrfs": ["btrfs", "filesystem", "resize", "max", mount]}
    run = command.get(kind, ["resize2fs", device])
    done = subprocess.run(run, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        said = done.stdout.decode(errors="replace").strip().splitlines()[-2:]
        raise NotMounted(f"it is mounted, but could not be grown: {run[0]}: {'; '.join(said)}")
    after = os.statvfs(mount)
    if after.f_blocks <= before.f_blocks:
        return ""
    sizes = [found.f_blocks * found.f_frsize / GIB for found in (before, after)]
    return f", grown from {sizes[0]:.1f} to {sizes[1]:.1f} GiB"


def give(volume: Volume) -> str:
    """Set the mount point's owner and mode, and say so."""
    user, _, group = volume.owner.partition(":")
    try:
        uid, gid = (pwd.getpwnam(user).pw_uid if user else -1), (grp.getgrnam(group).gr_gid if group else -1)
    except KeyError as unknown:
        raise NotMounted(f"it is mounted, but its owner is not set: {unknown.args[0]}") from unknown
    if volume.owner:
        os.chown(volume.mount, uid, gid)
    if volume.mode:
        pathlib.Path(volume.mount).chmod(int(volume.mode, 8))
    return f", owner {volume.owner}" if volume.owner else ""


# Mounting


def source(device: str, uuid: str) -> str:
    """Return what /etc/fstab names a volume by: its UUID, or where two have the same, the volume's id."""
    same = [disk for disk in disks() if uuid in carried(disk.path, "UUID")]
    if len(same) == 1:
        return f"UUID={uuid}"
    links = sorted(pathlib.Path("/dev/disk/by-id").glob("nvme-Amazon_Elastic_Block_Store_vol*"))
    return str(next((link for link in links if os.path.realpath(link) == os.path.realpath(device)), device))


def options(volume: Volume, kind: str) -> list:
    """Return the options that a volume is mounted with: what is on it may come from anywhere."""
    safe = [f"no{option}" for option in ("suid", "dev") if option not in volume.options]
    chosen = [option for option in volume.options if option not in ("suid", "dev")]
    # XFS refuses a second volume of one snapshot without nouuid.
    return safe + chosen + (["ro"] if volume.read_only else []) + (["nouuid"] if kind == "xfs" else [])


def fstab_line(volume: Volume, kind: str, what: str) -> str:
    """Return the line of /etc/fstab: `nofail`, or a missing volume would keep the machine from booting.

    Not checked at boot: both file systems have a journal, and a check of terabytes takes an hour.
    """
    every = ["defaults", "nofail", "x-systemd.device-timeout=30s", *options(volume, kind)]
    return f"{what} {volume.mount} {kind} {','.join(every)} 0 0\n"


def write_fstab(fstab: pathlib.Path, mount: str, line: str) -> None:
    """Put a line in the place of those that mount something there."""
    lines = [old for old in fstab.read_text().splitlines(True) if not is_line_of(old, mount)]
    write(fstab, "".join(lines) + line)


def is_line_of(line: str, mount: str) -> bool:
    """Say whether a line of /etc/fstab mounts something there."""
    return not line.startswith("#") and line.split()[1:2] == [mount]


def write(path: pathlib.Path, text: str) -> None:
    """Write a file as a whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.chmod(0o644)
    draft.replace(path)


def make_mount_point(path: str) -> None:
    """Make a directory where it is absent, through directories that root alone can write, following no link.

    Raises NotMounted.
    """
    here, way = os.open("/", os.O_RDONLY | os.O_DIRECTORY), ""
    for name in path.strip("/").split("/"):
        info = os.fstat(here)
        if info.st_uid or info.st_mode & (0o022 if info.st_gid else 0o002):
            os.close(here)
            raise NotMounted(f"others than root can write {way or '/'}, and could lay a link there")
        way += f"/{name}"
        try:
            if not os.access(name, os.F_OK, dir_fd=here, follow_symlinks=False):
                os.mkdir(name, 0o755, dir_fd=here)
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
        except OSError as problem:
            raise NotMounted(f"{way} is a link, or no directory ({problem.strerror})") from problem
        finally:
            os.close(here)
        here = below
    os.close(here)


def mount(volume: Volume, taken: set, fstab: pathlib.Path) -> dict:
    """Mount one volume, now and at every boot, and tell of it."""
    disk = instance_store() if volume.source == "instance-store" else wait_for(volume, taken).path
    taken.add(disk)
    found, made = filesystem(disk), ""
    if not found and not volume.format:
        refuse_unless_empty(disk)
        raise NotMounted(f"{disk} is empty; nothing is formatted without being told")
    make_mount_point(volume.mount)
    if not found:
        make_filesystem(disk, volume.format, volume.mount)
        found, made = filesystem(disk), ", formatted"
    device, kind, uuid, label = found
    if volume.source == "ebs":
        write_fstab(fstab, volume.mount, fstab_line(volume, kind, source(device, uuid)))
    if not os.path.ismount(volume.mount):
        # The machine's own disks have another file system after each stop, and are not mounted before this runs.
        by_hand = ["mount", "-o", ",".join(options(volume, kind)), device, volume.mount]
        subprocess.check_call(["mount", volume.mount] if volume.source == "ebs" else by_hand)
    if not volume.read_only:
        made += grow(device, kind, volume.mount) + give(volume)
    rights = "read-only" if volume.read_only else "read-write"
    say(f"{device} ({kind}, UUID {uuid}) is mounted on {volume.mount}, {rights}{made}")
    return {"mount": volume.mount, "device": device, "filesystem": kind, "uuid": uuid, "label": label}


def mount_all(volumes: list, fstab: pathlib.Path) -> int:
    """Mount every volume, and say which could not be; 1 if any."""
    failed, taken = 0, set()
    for volume in volumes:
        try:
            mount(volume, taken, fstab)
        except (NotMounted, OSError, subprocess.CalledProcessError) as problem:
            failed = 1
            say(f"NOT MOUNTED: {volume.mount}: {problem}")
    return failed


def add(entry: dict, fstab: pathlib.Path) -> int:
    """Mount a volume and list it; where that fails, nothing of it stays. One that is mounted there already stays so."""
    volume = Volume.read(entry)
    before, was_there = fstab.read_text(), os.path.ismount(volume.mount)
    if was_there and not is_mounted(volume):
        say(f"NOT MOUNTED: {volume.mount}: something is mounted there already")
        return 1
    listed = [other for other in entries() if other["mount"] != volume.mount]
    taken = {d["path"] for d in lsblk("PATH", "MOUNTPOINT") if d["mountpoint"] not in (None, volume.mount)}
    try:
        told = mount(volume, taken, fstab)
        VOLUMES.parent.mkdir(parents=True, exist_ok=True)
        write(VOLUMES, json.dumps([*listed, entry], indent=1))
    except (NotMounted, OSError, subprocess.CalledProcessError) as problem:
        if os.path.ismount(volume.mount) and not was_there:
            subprocess.call(["umount", volume.mount])
        write(fstab, before)
        say(f"NOT MOUNTED: {volume.mount}: {problem}")
        return 1
    print(json.dumps(told), flush=True)
    return 0


def is_mounted(volume: Volume) -> bool:
    """Say whether it is this very volume that is mounted where it is to be."""
    serials = {disk.path: disk.volume for disk in disks()}
    for d in lsblk("PATH", "PKNAME", "MOUNTPOINT"):
        if d["mountpoint"] == volume.mount:
            identity = serials.get(d["path"]) or serials.get(f"/dev/{d['pkname']}", "")
            return identity == volume.volume if identity else probe(d["path"]).get("UUID") == volume.uuid
    return False


def unmount(mount_point: str, fstab: pathlib.Path) -> int:
    """Unmount, and list no more; 1 where somebody is still at work there."""
    if os.path.ismount(mount_point) and subprocess.call(["umount", mount_point]):
        say(f"PROBLEM: {mount_point} is in use by {', '.join(holders(mount_point)) or 'somebody'}")
        return 1
    write_fstab(fstab, mount_point, "")
    if VOLUMES.exists():
        write(VOLUMES, json.dumps([entry for entry in entries() if entry["mount"] != mount_point], indent=1))
    say(f"{mount_point} is unmounted")
    return 0


def holders(mount_point: str) -> list:
    """Return the processes that work below a directory: "python3 (1234)"."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            held = [str(link.readlink()) for link in [process / "cwd", *(process / "fd").iterdir()]]
            name = (process / "comm").read_text().strip()
        except OSError:  # it has ended meanwhile
            continue
        if any(path == mount_point or path.startswith(mount_point + "/") for path in held):
            found.append(f"{name} ({process.name})")
    return found


def describe() -> int:
    """Tell of what is mounted from disks."""
    serials = {disk.path: disk.volume for disk in disks()}
    for d in lsblk("PATH", "PKNAME", "MOUNTPOINT"):
        if not d["mountpoint"] or not os.path.ismount(d["mountpoint"]):
            continue
        room, carries = os.statvfs(d["mountpoint"]), probe(d["path"])
        told = {
            "mount": d["mountpoint"],
            "device": d["path"],
            "id": serials.get(d["path"]) or serials.get(f"/dev/{d['pkname']}", ""),
            "filesystem": carries.get("TYPE", ""),
            "uuid": carries.get("UUID", ""),
            "label": carries.get("LABEL", ""),
            "read_only": bool(room.f_flag & os.ST_RDONLY),
            "bytes_used": (room.f_blocks - room.f_bfree) * room.f_frsize,
            "bytes_total": room.f_blocks * room.f_frsize,
        }
        print(json.dumps(told), flush=True)
    return 0


def entries() -> list:
    """Return what volumes.json lists."""
    return json.loads(VOLUMES.read_text()) if VOLUMES.exists() else []


def say(line: str) -> None:
    """Say what was done, to whoever reads the console."""
    print(f"ec2-lab: {line}", flush=True)


def main(arguments: list) -> int:
    """Do what is asked; 1 where anything failed."""
    fstab = pathlib.Path("/etc/fstab")
    if arguments[:1] == ["--describe"]:
        return describe()
    if arguments[:1] == ["--unmount"]:
        return unmount(arguments[1], fstab)
    if arguments[:1] == ["--add"]:
        return add(json.load(sys.stdin), fstab)
    return mount_all([Volume.read(entry) for entry in entries()], fstab)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
