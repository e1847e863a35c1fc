"""Volumes on an instance: found, formatted only when empty, mounted, grown, given away, and given back."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.changed_constants import sent_with

MIB = 1 << 20


@pytest.fixture
def disks(host, tmp_path):
    """Makes disks of the instance's: loop devices on files, empty or with a file system."""
    attached = []

    def make(mib=16, filesystem=None, larger=0, **options):
        image = tmp_path / f"disk{len(attached)}.img"
        with image.open("wb") as file:
            file.truncate((300 if filesystem == "xfs" else mib) * MIB)
        if filesystem:
            flags = [word for name, value in options.items() for word in (f"-{name}", value)]
            subprocess.run([f"mkfs.{filesystem}", "-q", *flags, image], check=True)
        if larger:
            with image.open("ab") as file:
                file.truncate(larger * MIB)
        device = subprocess.run(["losetup", "--find", "--show", image], check=True, capture_output=True, text=True)
        attached.append(device.stdout.strip())
        return attached[-1]

    yield make
    host.run("sh", "-c", "umount -a -t ext4,xfs", check=False)
    for device in attached:
        subprocess.run(["losetup", "--detach", device], check=False)


def mount(host, *volumes, check=False, patience=2):
    host.write("/opt/ec2-lab/mount-volumes", sent_with("mount-volumes.py", PATIENCE=patience), mode=0o755)
    host.write("/etc/ec2-lab/volumes.json", json.dumps(list(volumes)))
    return host.run("/opt/ec2-lab/mount-volumes", check=check)


def name(host, device, volume):
    """Let a disk have a volume's id as its serial number, as the disks of Nitro instances have: lsblk asks udev."""
    numbers = Path(device).stat().st_rdev
    host.write(
        f"/run/udev/data/b{os.major(numbers)}:{os.minor(numbers)}", f"E:ID_SERIAL_SHORT={volume.replace('-', '')}\n"
    )


def uuid(device):
    return subprocess.run(
        ["blkid", "-p", "-o", "value", "-s", "UUID", device], check=True, capture_output=True, text=True
    ).stdout.strip()


def unmount(host, point, check=True, **known):
    entry = json.dumps({"mount": point, **known})
    return host.run("/opt/ec2-lab/volumes-over-ssh", "unmount", "-", text=entry, check=check)


def mounted(host):
    """What is mounted, by mount point."""
    told = host.run("/opt/ec2-lab/volumes-over-ssh", "describe").stdout.splitlines()
    return {one["mount"]: one for one in map(json.loads, told)}


@pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
def test_a_data_set_is_found_by_its_uuid_and_mounted_by_it_also_after_a_boot(host, disks, filesystem):
    disks(filesystem="ext4")
    device = disks(filesystem=filesystem)
    done = mount(host, {"mount": "/data", "uuid": uuid(device), "device": "/dev/sdf"})
    assert done.returncode == 0, done.stdout
    assert f"ec2-lab: {device} ({filesystem}) is mounted on /data, read-write" in done.stdout
    assert mounted(host)["/data"]["device"] == device
    host.run("umount", "/data")
    assert host.run("/opt/ec2-lab/mount-volumes").stdout == done.stdout
    assert mounted(host)["/data"]["uuid"] == uuid(device)


def test_the_second_run_changes_nothing(host, disks):
    device = disks(filesystem="ext4")
    volume = {"mount": "/data", "uuid": uuid(device), "owner": "nobody:nogroup", "mode": "2775"}
    assert mount(host, volume).returncode == 0
    before = host.run("findmnt", "--noheadings").stdout, host.path("/etc/fstab").read_text()
    assert mount(host, volume).returncode == 0
    assert (host.run("findmnt", "--noheadings").stdout, host.path("/etc/fstab").read_text()) == before


def test_an_empty_disk_is_formatted_only_where_that_is_said_and_never_a_second_time(host, disks):
    device = disks()
    named = {"mount": "/scratch/a", "device": device}
    refused = mount(host, named)
    assert refused.returncode == 1
    assert (
        f"NOT MOUNTED: /scratch/a: {device} is empty; it is not formatted, because the configuration does not say so"
        in refused.stdout
    )
    made = mount(host, {**named, "format": "ext4", "owner": ":games", "mode": "2775"})
    assert "formatted, owner :games" in made.stdout
    assert host.run("stat", "-c", "%G %a", "/scratch/a").stdout == "games 2775\n"
    host.run("sh", "-c", "echo precious > /scratch/a/file; umount /scratch/a")
    again = mount(host, {**named, "format": "xfs"})
    assert again.returncode == 0
    assert "formatted" not in again.stdout
    assert host.run("cat", "/scratch/a/file").stdout == "precious\n"


@pytest.mark.parametrize(
    ("laid", "where", "said"),
    [
        ("ln -s /etc /data", "/data", "/data is a link to /etc"),
        ("mkdir /real; ln -s /real /way", "/way/data", "/way is a link to /real"),
        ("mkdir -m 1777 /shared; ln -s /etc /shared/data", "/shared/data", "users other than root can write /shared,"),
        ("mkdir -m 775 /shared; chgrp games /shared", "/shared/data", "users other than root can write /shared,"),
        (
            "mkdir /home/alice; chown games /home/alice",
            "/home/alice/a/b",
            "users other than root can write /home/alice,",
        ),
        ("true", "/tmp/data", "users other than root can write /tmp,"),
        ("touch /data", "/data", "/data is no directory"),
    ],
)
def test_nothing_is_mounted_or_formatted_where_another_than_root_could_lay_a_link(host, disks, laid, where, said):
    device = disks()
    host.run("sh", "-ec", laid)
    before = host.run("sha256sum", device).stdout, host.path("/etc/fstab").read_text()
    refused = mount(host, {"mount": where, "device": device, "format": "ext4"})
    assert refused.returncode == 1
    assert f"NOT MOUNTED: {where}: {said}" in refused.stdout
    assert (host.run("sha256sum", device).stdout, host.path("/etc/fstab").read_text()) == before
    assert mounted(host).keys().isdisjoint({where, "/etc"})
    assert host.path("/etc/passwd").exists()


def test_a_volume_inside_of_one_that_was_given_away_is_refused(host, disks):
    outer, inner = disks(filesystem="ext4"), disks(filesystem="ext4")
    volumes = {"mount": "/data", "device": outer, "owner": "games"}, {"mount": "/data/more", "device": inner}
    done = mount(host, *volumes)
    assert "NOT MOUNTED: /data/more: users other than root can write /data, and could place a link there" in done.stdout
    assert mounted(host).keys() & {"/data", "/data/more"} == {"/data"}
    host.run("chown", "root", "/data")
    assert mount(host, {**volumes[0], "owner": ""}, volumes[1]).returncode == 0


def test_what_is_on_a_volume_makes_nobody_root_unless_that_is_said(host, disks):
    careful, trusting = disks(filesystem="ext4"), disks(filesystem="ext4")
    chosen = ["suid", "dev", "noatime"]
    volumes = {"mount": "/a", "device": careful}, {"mount": "/b", "device": trusting, "options": chosen}
    assert mount(host, *volumes).returncode == 0
    found = [set(host.run("findmnt", "-no", "OPTIONS", path).stdout.strip().split(",")) for path in ("/a", "/b")]
    assert {"nosuid", "nodev"} <= found[0]
    assert found[1].isdisjoint({"nosuid", "nodev"})
    assert "noatime" in found[1]


PARTITION_TABLE = bytes(446) + bytes([0, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0, 1, 0]) + bytes(48) + b"\x55\xaa"
ENCRYPTED = b"LUKS\xba\xbe\x00\x01" + b"aes".ljust(32, b"\0") + b"xts-plain64".ljust(32, b"\0") + bytes(520)


@pytest.mark.parametrize("carried", [PARTITION_TABLE, ENCRYPTED], ids=["a partition table", "an encrypted disk"])
def test_a_disk_that_carries_anything_is_never_formatted(host, disks, carried):
    device = disks()
    with Path(device).open("r+b") as disk:
        disk.write(carried)
    before = host.run("sha256sum", device).stdout
    refused = mount(host, {"mount": "/scratch", "device": device, "format": "ext4"})
    assert refused.returncode == 1
    assert f"NOT MOUNTED: /scratch: {device} carries " in refused.stdout
    assert host.run("sha256sum", device).stdout == before


@pytest.mark.every_release
def test_a_file_system_grows_to_a_volume_that_is_larger_than_its_snapshot(host, disks):
    device = disks(filesystem="xfs", larger=1024)  # ext4 grows in tests/vm: containers may not resize it
    done = mount(host, {"mount": "/data", "uuid": uuid(device)})
    assert ", grown from 0.2 to 0.9 GiB" in done.stdout
    assert mounted(host)["/data"]["bytes_total"] > 900 * MIB


def test_read_only_is_read_only_and_neither_grown_nor_given_away(host, disks):
    device = disks(filesystem="ext4", larger=128)
    done = mount(host, {"mount": "/data", "uuid": uuid(device), "read_only": True, "owner": "nobody"})
    assert "is mounted on /data, read-only\n" in done.stdout
    assert host.run("touch", "/data/x", check=False).returncode == 1
    assert mounted(host)["/data"]["read_only"] is True


def test_two_disks_with_one_uuid_are_told_apart_by_name_and_are_an_error_without(host, disks):
    same = {"U": "6f1c0a3e-5d0b-4c58-9a53-1f6f3d0f5b11"}
    first, second = disks(filesystem="ext4", **same), disks(filesystem="ext4", **same)
    ambiguous = mount(host, {"mount": "/data", "uuid": same["U"]})
    assert ambiguous.returncode == 1
    assert "have the same UUID" in ambiguous.stdout
    done = mount(host, {"mount": "/a", "device": second}, {"mount": "/b", "uuid": same["U"]})
    assert done.returncode == 0, done.stdout
    assert (mounted(host)["/a"]["device"], mounted(host)["/b"]["device"]) == (second, first)


def test_an_owner_that_is_not_there_is_said_and_the_volume_is_mounted_all_the_same(host, disks):
    device = disks(filesystem="ext4")
    done = mount(host, {"mount": "/data", "uuid": uuid(device), "owner": "nosuchuser"})
    assert done.returncode == 1
    assert "it is mounted, but its owner is not set" in done.stdout
    assert "/data" in mounted(host)


def test_one_volume_that_is_missing_keeps_no_other_from_being_mounted(host, disks):
    device = disks(filesystem="ext4")
    done = mount(host, {"mount": "/a", "device": "/dev/sdz"}, {"mount": "/b", "device": device})
    assert done.returncode == 1
    assert "NOT MOUNTED: /a: its volume /dev/sdz did not appear" in done.stdout
    assert "/b" in mounted(host)


def test_a_volume_is_added_on_a_running_instance_listed_for_the_next_boot_and_given_back(host, disks):
    device = disks(filesystem="ext4", L="speech")
    entry = json.dumps({"mount": "/data", "device": device})
    added = host.run("/opt/ec2-lab/volumes-over-ssh", "add", "-", text=entry, check=False)
    assert added.returncode == 0, added.stdout + added.stderr
    assert json.loads(added.stdout.splitlines()[-1]) == {"mount": "/data", "in_use": True}
    assert f"UUID={uuid(device)} /data ext4 defaults,nofail," in host.path("/etc/fstab").read_text()
    assert mounted(host)["/data"]["label"] == "speech"
    assert json.loads(host.path("/etc/ec2-lab/volumes.json").read_text()) == [json.loads(entry)]
    given_back = unmount(host, "/data", device=device)
    assert json.loads(given_back.stdout.splitlines()[-1]) == {"unmounted": "/data", "disk": device, "id": ""}
    assert json.loads(host.path("/etc/ec2-lab/volumes.json").read_text()) == []
    assert "/data" not in host.path("/etc/fstab").read_text()
    assert "/data" not in mounted(host)


def test_what_can_not_be_added_leaves_nothing_behind(host, disks):
    before = host.path("/etc/fstab").read_text()
    entry = json.dumps({"mount": "/data", "device": disks()})
    assert host.run("/opt/ec2-lab/volumes-over-ssh", "add", "-", text=entry, check=False).returncode == 1
    assert host.path("/etc/fstab").read_text() == before
    assert not host.path("/etc/ec2-lab/volumes.json").exists()


def test_who_is_at_work_on_a_volume_is_named_when_it_can_not_be_unmounted(host, disks):
    device = disks(filesystem="ext4")
    mount(host, {"mount": "/data", "device": device})
    working = subprocess.Popen(
        [
            "nsenter",
            f"--target={host.first}",
            "--mount",
            "--pid",
            "--root",
            "--wd=/",
            "sh",
            "-c",
            "cd /data && echo in && exec sleep 60",
        ],
        stdout=subprocess.PIPE,
    )
    working.stdout.readline()
    refused = unmount(host, "/data", check=False)
    working.kill()
    working.wait()
    assert refused.returncode == 1
    # Between saying `in` and becoming sleep it is a shell for a moment.
    assert re.search(r"PROBLEM: /data is in use by (sh|sleep) \(", refused.stdout)
