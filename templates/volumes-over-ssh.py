"""Mount, unmount and describe volumes on a running instance. Runs as root, on Python 3.9 or later.

    volumes-over-ssh add -        mount the volume on standard input, and add it to volumes.json and /etc/fstab
    volumes-over-ssh unmount -    unmount that volume, remove its entries, and prove that nothing uses its disk
    volumes-over-ssh describe     print what is mounted from disks, one JSON object per line

Standard input is an entry of /etc/ec2-lab/volumes.json with the volume's id, which an EBS disk of a Nitro instance has
as its serial number, without the dash. A volume in use is not unmounted, and its users are named: a process, a mount in
any mount namespace (such as a container's), a swap file, a loop device, an NFS export, an overlay. The proof is the
kernel's: it does not open a disk with O_EXCL while anything has it mounted, even a lazily unmounted file system.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import pathlib
import pwd
import re
import shutil
import stat
import subprocess
import sys
import time

from mount_volumes import (
    VOLUMES,
    CommandFailed,
    FileSystem,
    NotMounted,
    Volume,
    disks,
    entries,
    find,
    kernels_own,
    lsblk,
    mount,
    options,
    probe,
    run,
    same_device,
    say,
    uuids,
    wait_for,
)

FSTAB = pathlib.Path("/etc/fstab")
OURS = (b"x-ec2-lab", b"comment=cloudconfig")
"""Options that mark an entry of /etc/fstab as replaceable: ours, or cloud-init's for a disk of older types."""
PROC = pathlib.Path("/proc")
SWAPS = PROC / "swaps"
EXPORTS = pathlib.Path("/var/lib/nfs/etab")
RELEASE = 2.0
"""Seconds for the kernel to release an unmounted disk."""
MOST_NAMED = 6


class InUse(Exception):
    """A volume cannot be unmounted, and why."""


@dataclasses.dataclass(frozen=True)
class EbsVolume(Volume):
    """A volume with an id in AWS."""

    volume: str = ""


# Disks


def volume_id(serial: str) -> str:
    """Return vol-0123… for an EBS disk's serial number vol0123…, which lacks the dash; empty for any other."""
    return f"vol-{serial[3:].lstrip('-')}" if serial.startswith("vol") else ""


def volume_ids() -> dict:
    """Return the volume id of each disk that has one."""
    return {one["path"]: volume_id((one["serial"] or "").strip()) for one in lsblk("PATH", "SERIAL")}


def identified_disk(volume: EbsVolume) -> str:
    """Return the disk with a volume's id; empty where none has it."""
    return next((path for path, identity in volume_ids().items() if identity and identity == volume.volume), "")


def found_disk(volume: EbsVolume) -> str:
    """Return a volume's disk by id, or by name on types whose disks have none; never by its content."""
    named = Volume(volume.mount, device=volume.device)
    return identified_disk(volume) or (find(named, set()) if volume.device else "")


def wanted_disk(volume: EbsVolume) -> str:
    """Return a volume's disk once it appears, by id, name or its file system's UUID. Raises NotMounted."""
    taken = disks_in_use(volume.mount)
    return wait_for(lambda: identified_disk(volume) or find(volume, taken), volume.volume or volume.device)


# Adding


def add(entry: dict) -> int:
    """Mount a volume and list it; undone on failure. One that is mounted there already stays.

    The last output says whether its disk is in use, so that the caller knows whether it may be detached.
    """
    volume = EbsVolume.read(entry)
    was_there = mounted_at(volume.mount)
    try:
        if os.path.normpath(volume.mount) != volume.mount:
            raise NotMounted("that is not the plain path of a directory")  # noqa: TRY301 - it is told as any other
        refuse_another(volume, was_there)
        mounted, _ = mount(volume, wanted_disk(volume))
        problems = list_in_fstab(volume, mounted)
        listed = [other for other in entries() if other["mount"] != volume.mount]
        VOLUMES.parent.mkdir(parents=True, exist_ok=True)
        write(VOLUMES, json.dumps([*listed, entry], indent=1).encode())
    except (NotMounted, OSError, subprocess.CalledProcessError) as problem:
        if mounted_at(volume.mount) and not was_there:
            subprocess.call(["umount", "--", volume.mount])
        say(f"NOT MOUNTED: {volume.mount}: {problem}")
        found = found_disk(volume)
        print(json.dumps({"mount": volume.mount, "in_use": bool(found and not is_free(found))}), flush=True)
        return 1
    for problem in problems:
        say(f"PROBLEM: {volume.mount}: it is mounted, but {problem}")
    print(json.dumps({"mount": volume.mount, "in_use": True}), flush=True)
    return 0


def refuse_another(volume: EbsVolume, there: Mount | None) -> None:
    """Raise NotMounted where another volume is mounted there, or this one elsewhere."""
    if there and not is_of(volume, there):
        raise NotMounted(f"something is mounted there already ({there.source})")
    found = found_disk(volume)
    for other in mounts():
        if found and other.point != volume.mount and other.device and found in disks_under(other.device):
            raise NotMounted(f"{volume.volume or found} is mounted on {other.point} already")


def is_of(volume: EbsVolume, there: Mount) -> bool:
    """Say whether this very volume is mounted."""
    on = disks_under(there.device) if there.device else set()
    told = [identity for path, identity in volume_ids().items() if path in on and identity]
    return told == [volume.volume] if told else probe(there.device).get("UUID") == volume.uuid


def disks_in_use(besides: str) -> set:
    """Return the disks with mounts, except for the one on a directory."""
    return {d for other in mounts() if other.device and other.point != besides for d in disks_under(other.device)}


# Unmounting


def unmount(entry: dict) -> int:
    """Unmount a volume, remove its entry, and prove that its disk is free; 1 where anything still uses it."""
    volume = EbsVolume.read(entry)
    point = os.path.realpath(volume.mount) if volume.mount else ""
    try:
        there = mounted_at(point)
        disk = the_disk(volume, there)
        identity = volume_ids().get(disk, "")
        if there:
            take_down(there)
        free(disk, there)
        for name in {volume.mount, point} - {""}:
            forget(name)
    except (InUse, NotMounted, OSError) as problem:
        say(f"PROBLEM: {volume.mount or volume.volume} {problem}")
        return 1
    say(f"{point} is unmounted" if there else f"{identity or disk} is mounted nowhere")
    print(json.dumps({"unmounted": volume.mount, "disk": disk, "id": identity}), flush=True)
    return 0


def the_disk(volume: EbsVolume, there: Mount | None) -> str:
    """Return a volume's disk, which is the mounted one, if any. Raises InUse."""
    known = found_disk(volume)
    if not there:
        if known:
            return known
        raise InUse(f"is not mounted, and no disk here is {volume.volume or volume.device or 'named'}")
    on = sorted(disks_under(there.device)) if there.device else []
    if len(on) != 1 or on[0] not in [disk.path for disk in disks()]:
        raise InUse(f"lies on {', '.join(on) or there.source}, and not on one volume; unmount it there by hand")
    identity = volume_ids().get(on[0]) or (volume.volume if known == on[0] else "")
    if volume.volume and identity != volume.volume:
        raise InUse(f"is on {on[0]} ({identity or 'which has no id'}), and not on {volume.volume}")
    return on[0]


def take_down(there: Mount) -> None:
    """Unmount, if nothing uses it. Raises InUse."""
    if used := users(there):
        raise InUse(f"is in use by {several(used)}; it stays mounted")
    try:
        run("umount", "--", there.point)
    except CommandFailed as refusal:
        used = users(there)
        raise InUse(f"is in use by {several(used) if used else 'something that has no name'} ({refusal})") from refusal


def free(disk: str, before: Mount | None) -> None:
    """Deactivate a disk's logical volumes, and prove that nothing uses it. Raises InUse, and mounts it again."""
    refusal = ""
    for path in {d["path"] for d in lsblk("PATH", "TYPE", disk=disk) if d["type"] == "lvm"}:
        try:
            run("lvchange", "-an", path)
        except NotMounted as problem:
            refusal = f" ({problem})"
    if is_free(disk):
        return
    again = mount_again(before) if before else ""
    raise InUse(f"is in use by {several(keepers(disk)) or 'something that has no name'}{refusal}{again}")


def is_free(path: str) -> bool:
    """Say whether nothing has claimed a disk: no mount in any namespace, no swap, no array, no logical volume."""
    deadline = time.monotonic() + RELEASE
    while True:
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_EXCL))
        except OSError as problem:
            if problem.errno != errno.EBUSY:
                raise
        else:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)


def mount_again(before: Mount) -> str:
    """Mount again what was just unmounted, by /etc/fstab or its last options, and report it."""
    by_hand = ["-t", before.kind, "-o", before.how, before.device]
    for how in ([], by_hand):
        try:
            run("mount", *how, before.point)
        except NotMounted as refusal:
            failure = str(refusal)
        else:
            return "; it is mounted again"
    return f"; it could not be mounted again ({failure})"


def forget(point: str) -> None:
    """Remove a mount point's entries."""
    rewrite(FSTAB, point)
    if any(entry["mount"] == point for entry in entries()):
        write(VOLUMES, json.dumps([entry for entry in entries() if entry["mount"] != point], indent=1).encode())


# /etc/fstab


def list_in_fstab(volume: Volume, found: FileSystem) -> list:
    """Make /etc/fstab mount a volume at every boot; return what prevents that, if anything.

    An entry that mounts this file system there stays, edited by hand or not. Raises NotMounted where another entry
    mounts something else there.
    """
    what = source(found)
    for line in lines_of(FSTAB):
        if mounts_at(line, volume.mount):
            there = unescaped(os.fsdecode(line.split()[0])).replace('"', "")
            if there in (what, f"UUID={found.uuid}", f"LABEL={probe(found.device).get('LABEL')}") or same_device(
                there, found.device
            ):
                return []
            if not any(mark in line for mark in OURS):
                raise NotMounted(f"{FSTAB} mounts {there} there already")
    try:
        rewrite(FSTAB, volume.mount, fstab_line(volume, found.kind, what))
    except (NotMounted, OSError) as problem:
        return [f"{FSTAB} does not list it: {problem}"]
    return []


def source(found: FileSystem) -> str:
    """Return the source in /etc/fstab: its UUID, or its volume's id where two have the same."""
    same = [disk for disk in disks() if found.uuid in uuids(disk.path)]
    if len(same) == 1:
        return f"UUID={found.uuid}"
    links = sorted(pathlib.Path("/dev/disk/by-id").glob("nvme-Amazon_Elastic_Block_Store_vol*"))
    return str(next((link for link in links if same_device(link, found.device)), found.device))


def fstab_line(volume: Volume, kind: str, what: str) -> str:
    """Return the line of /etc/fstab: `nofail`, or a missing volume would prevent booting.

    Not checked at boot: both file systems have a journal, and a check of terabytes takes an hour.
    """
    every = ["defaults", "nofail", "x-systemd.device-timeout=30s", "x-ec2-lab", *options(volume, kind)]
    return f"{what} {escaped(volume.mount)} {kind} {','.join(every)} 0 0"


def lines_of(fstab: pathlib.Path) -> list:
    """Return the lines of /etc/fstab as bytes, which may not be text; the last may lack its end."""
    lines = fstab.read_bytes().split(b"\n") if fstab.exists() else []
    return lines[:-1] if lines[-1:] == [b""] else lines


def mounts_at(line: bytes, point: str) -> bool:
    """Say whether a line of /etc/fstab mounts something on a directory."""
    fields = line.split()[:2]
    if len(fields) < 2 or fields[0].startswith(b"#"):  # noqa: PLR2004 - what, and where
        return False
    return unescaped(os.fsdecode(fields[1])).rstrip("/") == point


def unescaped(field: str) -> str:
    """Decode a field of mountinfo or /etc/fstab: white space and backslashes are octal numbers there."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)


def escaped(field: str) -> str:
    """Encode a field for /etc/fstab."""
    return re.sub(r"[\s\\#]", lambda found: f"\\{ord(found[0]):03o}", field)


def rewrite(fstab: pathlib.Path, point: str, *line: str) -> None:
    """Replace the lines that mount something on a directory by one, or none; the others stay.

    Raises OSError, and NotMounted where findmnt finds more errors than before.
    """
    before = lines_of(fstab)
    places = [number for number, old in enumerate(before) if mounts_at(old, point)]
    after = [old for number, old in enumerate(before) if number not in places]
    place = places[0] if places else len(after)
    after[place:place] = map(os.fsencode, line)
    if after == before:
        return
    write(fstab, b"".join(one + b"\n" for one in after), errors_in)
    if pathlib.Path("/run/systemd/system").exists():
        run("systemctl", "daemon-reload")  # systemd unmounts at once what an unknown entry mounts


def errors_in(fstab: pathlib.Path) -> int:
    """Return the number of findmnt's errors in an fstab; warnings do not count."""
    command = ["findmnt", "--verify", "--tab-file", str(fstab)]
    told = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout
    return told.count(b"[E]") + told.count(b"parse error at")


def write(path: pathlib.Path, content: bytes, errors_in=lambda _: 0) -> None:
    """Replace a file where it really is, with its owner, mode and SELinux context.

    Raises OSError, and NotMounted where it would have more errors than before.
    """
    path = path.resolve()
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(0o644)
        if path.exists():
            shutil.copystat(path, draft)  # with extended attributes, such as SELinux's context
            os.chown(draft, path.stat().st_uid, path.stat().st_gid)
            os.utime(draft)
        if errors_in(draft) > errors_in(path):
            raise NotMounted(f"findmnt --verify finds an error in what would be written to {path}")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


# What is mounted


@dataclasses.dataclass(frozen=True)
class Mount:
    """A line of /proc/PID/mountinfo (proc(5))."""

    id: str
    parent: str
    numbers: str
    """The device's: "259:1"."""
    root: str
    point: str
    how: str
    """The mount's own options; the others are the file system's."""
    groups: tuple
    """shared:1, master:2 (mount_namespaces(7))."""
    kind: str
    source: str
    options: str

    @property
    def device(self) -> str:
        """The block device, "/dev/nvme1n1"; not "/dev/root", as some kernels call it. Empty where it has none."""
        if pathlib.Path(self.source).is_block_device():
            return self.source
        known = pathlib.Path("/sys/dev/block", self.numbers)
        return f"/dev/{known.resolve().name}" if known.exists() else ""


def mounts(process: str = "self") -> list:
    """Return a process's mounts; of two on one directory the later hides the earlier."""
    found = []
    for line in pathlib.Path(f"/proc/{process}/mountinfo").read_bytes().split(b"\n")[:-1]:
        here, _, there = os.fsdecode(line).partition(" - ")
        number, parent, numbers, root, point, how, *groups = map(unescaped, here.split(" "))
        kind, source, options = map(unescaped, there.split(" ", 2))
        found.append(Mount(number, parent, numbers, root, point, how, tuple(groups), kind, source, options))
    return found


def mounted_at(point: str) -> Mount | None:
    """Return the mount on a directory; None where there is none."""
    return next((mount for mount in reversed(mounts()) if mount.point == point), None)


def disks_under(device: str) -> set:
    """Return the disks under a block device: a partition, a logical volume, an array, or the disk itself."""
    here = kernels_own(device)
    below = [path.name for path in here.glob("slaves/*")]
    if (here / "partition").exists():
        below.append(here.parent.name)
    return set().union(*(disks_under(f"/dev/{name}") for name in below)) if below else {f"/dev/{here.name}"}


# Who uses it


def devices_on(disk: str) -> list:
    """Return the paths of a disk and its descendants."""
    return [device["path"] for device in lsblk("PATH", disk=disk)]


def several(names: list) -> str:
    """Join names: the first ones, and how many more."""
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def users(there: Mount) -> list:
    """Name what uses a file system besides its mount: processes, other mounts, and the kernel."""
    spaces = namespaces()
    return [*processes(there), *other_mounts(there, spaces), *overlays(there, spaces), *without_process(there)]


def namespaces() -> dict:
    """Return the mounts of every mount namespace that a process is in, by its first process."""
    first: dict = {}
    for process in all_processes():
        try:
            first.setdefault((process / "ns/mnt").readlink(), process.name)
        except OSError:  # it has ended meanwhile
            continue
    own = pathlib.Path("/proc/self/ns/mnt").readlink()
    found = {"self": mounts()}
    for space, process in first.items():
        try:
            found.update({process: mounts(process)} if space != own else {})
        except OSError:
            continue
    return found


def all_processes() -> list:
    """Return the directories of all processes but this one, oldest first."""
    numbers = sorted(int(path.name) for path in PROC.glob("[0-9]*"))
    return [PROC / str(number) for number in numbers if number != os.getpid()]


def described(process: pathlib.Path) -> str:
    """Describe a process: "python3 (pid 1234, user alice)"."""
    name = (process / "comm").read_text(errors="replace").strip()
    number = process.stat().st_uid
    try:
        user = pwd.getpwuid(number).pw_name
    except KeyError:
        user = str(number)
    return f"{''.join(c if c.isprintable() else '?' for c in name)} (pid {process.name}, user {user})"


def processes(there: Mount) -> list:
    """Name the processes that use a file or directory of a file system, or its device."""
    number = device_number(there.point)
    mapped = f"{os.major(number):02x}:{os.minor(number):02x}"
    devices = {pathlib.Path(part).stat().st_rdev for disk in disks_under(there.device) for part in devices_on(disk)}
    found = []
    for process in all_processes():
        try:
            held = [process / name for name in ("cwd", "root", "exe")] + list((process / "fd").iterdir())
            maps = {line.split()[3] for line in (process / "maps").read_text(errors="replace").splitlines()}
            if mapped in maps or any(uses(link, number, devices) for link in held):
                found.append(described(process))
        except OSError:  # it has ended meanwhile
            continue
    return found


def device_number(path: str) -> int:
    """Return the device number of a path's file system."""
    return pathlib.Path(path).stat().st_dev


def uses(link: pathlib.Path, number: int, devices: set) -> bool:
    """Say whether something that a process holds is in a file system, or one of the devices under it."""
    try:
        held = link.stat()
    except OSError:  # closed meanwhile, or a kernel thread's
        return False
    return held.st_dev == number or (stat.S_ISBLK(held.st_mode) and held.st_rdev in devices)


def other_mounts(there: Mount, spaces: dict) -> list:
    """Name other mounts of a file system in all namespaces, and mounts within it."""
    passed_on = receivers(there, spaces)
    found = []
    for process, seen in spaces.items():
        whose = "" if process == "self" else f" in the mount namespace of {described(PROC / process)}"
        parents = {mount.id: mount for mount in seen}
        for other in seen:
            if other.numbers == there.numbers:
                if other.id != there.id and not goes_along(other, parents, there, spaces, passed_on):
                    found.append(f"its mount on {other.point}{whose}")
            elif process == "self" and other.point.startswith(f"{there.point}/"):
                found.append(f"{other.source}, mounted on {other.point}")
    return found


def receivers(there: Mount, spaces: dict) -> set:
    """Return the peer groups that unmounting propagates to: that of the parent mount, and their slaves'."""
    below = {mount.id: mount for mount in spaces["self"]}.get(there.parent)
    groups = {group.partition(":")[2] for group in below.groups if group.startswith("shared:")} if below else set()
    while True:
        slaves = {
            group.partition(":")[2]
            for seen in spaces.values()
            for mount in seen
            if {f"master:{known}" for known in groups} & set(mount.groups)
            for group in mount.groups
            if group.startswith("shared:")
        }
        if slaves <= groups:
            return groups
        groups |= slaves


def goes_along(other: Mount, parents: dict, there: Mount, spaces: dict, groups: set) -> bool:
    """Say whether the kernel unmounts another mount with this one (mount_namespaces(7))."""
    below, own = parents.get(other.parent), {mount.id: mount for mount in spaces["self"]}.get(there.parent)
    if (
        not below
        or not own
        or not {f"{how}:{group}" for how in ("shared", "master") for group in groups} & {*below.groups}
    ):
        return False
    return other.point[len(below.point.rstrip("/")) :] == there.point[len(own.point.rstrip("/")) :]


def overlays(there: Mount, spaces: dict) -> list:
    """Name the overlays with a layer in a file system, which no mount table shows."""
    found = []
    for process, seen in spaces.items():
        for other in (one for one in seen if one.kind == "overlay"):
            layers = re.split(r"[:,=]", unescaped(other.options))
            if any(is_in(there, layer, process) for layer in layers if layer.startswith("/")):
                found.append(f"the overlay on {other.point}")
    return list(dict.fromkeys(found))


def is_in(there: Mount, path: str, process: str = "self") -> bool:
    """Say whether a path, as a process sees it, is in a file system."""
    try:
        return (PROC / process / "root" / path.lstrip("/")).stat().st_dev == device_number(there.point)
    except OSError:
        return False


def without_process(there: Mount) -> list:
    """Name what the kernel uses of a file system: swap files, loop devices, NFS exports."""
    swaps = [unescaped(line.split()[0]) for line in SWAPS.read_text().splitlines()[1:]]
    found = [f"the swap file {file} (`swapoff {file}`)" for file in swaps if is_in(there, file)]
    told = run("losetup", "--list", "--json", "--output", "NAME,BACK-FILE,BACK-MAJ:MIN")
    loops = json.loads(told)["loopdevices"] if told else []
    found += [
        f"the loop device {loop['name']} of {loop['back-file']} (`losetup --detach {loop['name']}`)"
        for loop in loops
        if loop["back-maj:min"].strip() == there.numbers
    ]
    exported = EXPORTS.read_text(errors="replace").splitlines() if EXPORTS.exists() else []
    paths = [unescaped(line.split("\t")[0].strip('"')) for line in exported]
    return found + [f"the NFS export of {path} (`exportfs -u`)" for path in paths if is_in(there, path)]


def keepers(disk: str) -> list:
    """Name what has claimed a disk without a mount here: other mounts, arrays, logical volumes, swap."""
    numbers = {f"{os.major(n)}:{os.minor(n)}" for path in devices_on(disk) for n in [pathlib.Path(path).stat().st_rdev]}
    found = [holder.name for path in devices_on(disk) for holder in kernels_own(path).glob("holders/*")]
    for process, seen in namespaces().items():
        whose = "" if process == "self" else f" in the mount namespace of {described(PROC / process)}"
        found += [f"its mount on {other.point}{whose}" for other in seen if other.numbers in numbers]
    swaps = [line.split()[0] for line in SWAPS.read_text().splitlines()[1:]]
    return found + [f"swap on {path}" for path in devices_on(disk) if path in swaps]


# Telling


def describe() -> int:
    """Print what is mounted from disks."""
    serials = volume_ids()
    for point, there in {one.point: one for one in mounts()}.items():
        if not there.device or (there.root != "/" and there.kind != "btrfs"):  # a bind mount of a part of it
            continue
        on = disks_under(there.device)
        disk = on.pop() if len(on) == 1 else ""
        room, carries = os.statvfs(point), probe(there.device)
        told = {
            "mount": point,
            "device": there.device,
            "disk": disk,
            "id": serials.get(disk, ""),
            "filesystem": carries.get("TYPE", ""),
            "uuid": carries.get("UUID", ""),
            "label": carries.get("LABEL", ""),
            "read_only": bool(room.f_flag & os.ST_RDONLY),
            "bytes_used": (room.f_blocks - room.f_bfree) * room.f_frsize,
            "bytes_total": room.f_blocks * room.f_frsize,
        }
        print(json.dumps(told), flush=True)
    return 0


def main(arguments: list) -> int:
    """Run the command; 1 where it failed."""
    os.chdir("/")  # the user's home may be on the volume
    if arguments == ["describe"]:
        return describe()
    return {"add": add, "unmount": unmount}[arguments[0]](json.load(sys.stdin))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
