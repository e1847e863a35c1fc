"""Disks as they are elsewhere: in partitions, of LVM, of unknown content, and hosts that lack the tools for them."""

import struct
import subprocess
from pathlib import Path

import pytest

from tests.hosts.test_mount_volumes import disks, mount, mounted, uuid  # noqa: F401 - a fixture

MIB = 1 << 20
SECTORS = MIB // 512
INSTANCE_STORE = r"Amazon\x20EC2\x20NVMe\x20Instance\x20Storage"


@pytest.fixture
def partitioned(host, disks):  # noqa: F811
    """Makes disks with an MBR and one partition in it; (disk, partition)."""
    made = []

    def make(filesystem="ext4", part=16, **size):
        device = disks(**size)
        with Path(device).open("r+b") as disk:
            disk.seek(446)
            disk.write(struct.pack("<4sB3sII", b"", 0x83, b"", SECTORS, part * SECTORS))
            disk.seek(510)
            disk.write(b"\x55\xaa")
        subprocess.run(["partx", "--add", device], check=True)
        made.append(device)
        subprocess.run([f"mkfs.{filesystem}", "-q", f"{device}p1"], check=True)
        return device, f"{device}p1"

    yield make
    host.run("sh", "-c", "umount -a -t ext4,xfs", check=False)
    for device in made:
        subprocess.run(["partx", "--delete", device], check=False)


def model(host, device, model):
    """Let a disk be of a model: lsblk asks udev."""
    numbers = Path(device).stat().st_rdev
    host.write(f"/run/udev/data/b{numbers >> 8}:{numbers & 255}", f"E:ID_MODEL_ENC={model}\n")


@pytest.mark.every_release
def test_a_partition_and_the_file_system_in_it_grow_to_the_disk(host, partitioned):
    device, part = partitioned(filesystem="xfs", part=304, mib=1024)
    done = mount(host, {"mount": "/data", "device": device})
    assert done.returncode == 0, done.stdout
    assert f"ec2-lab: {part} (xfs) is mounted on /data, read-write, grown from 0.2 to" in done.stdout
    assert mounted(host)["/data"]["bytes_total"] > 900 * MIB


def test_a_partition_is_mounted_and_where_growpart_is_missing_that_is_said(host, partitioned):
    host.run("sh", "-c", "rm $(command -v growpart)")
    device, part = partitioned(mib=64)
    done = mount(host, {"mount": "/data", "device": device})
    assert f"ec2-lab: {part} (ext4) is mounted on /data, read-write\n" in done.stdout
    assert "PROBLEM: /data: it is mounted, but growpart is not installed: install cloud-guest-utils" in done.stdout
    assert done.returncode == 1
    found = mounted(host)["/data"]
    assert (found["device"], found["disk"]) == (part, device)


def test_a_partition_that_leaves_no_room_needs_no_growpart(host, partitioned):
    device, _ = partitioned(mib=18)
    assert mount(host, {"mount": "/data", "device": device, "read_only": True}).returncode == 0
    host.run("umount", "/data")
    done = mount(host, {"mount": "/data", "device": device})
    assert "growpart" not in done.stdout


def test_an_mbr_is_not_grown_beyond_two_tebibytes_and_that_is_said(host, partitioned):
    device, _ = partitioned(mib=3 << 20)
    done = mount(host, {"mount": "/data", "device": device})
    assert (
        f"not grown: the partition table of {device} is an MBR, which ends at 2 TiB (`sgdisk -g`: GPT)" in done.stdout
    )
    assert "/data" in mounted(host)


def test_xfs_without_its_tools_is_mounted_and_given_away_and_only_not_grown(host, disks):  # noqa: F811
    host.run("sh", "-c", "rm $(command -v xfs_growfs)")
    small, large = disks(filesystem="xfs"), disks(filesystem="xfs", larger=1024)
    entries = [{"mount": f"/{n}", "device": d, "owner": "games"} for n, d in (("small", small), ("large", large))]
    done = mount(host, *entries)
    assert "NOT MOUNTED" not in done.stdout
    assert "is mounted on /small, read-write, owner games" in done.stdout
    assert "is mounted on /large, read-write, owner games" in done.stdout
    problems = [line for line in done.stdout.splitlines() if "PROBLEM" in line]
    assert problems == ["ec2-lab: PROBLEM: /large: it is mounted, but xfs_growfs is not installed: install xfsprogs"]
    assert host.run("stat", "-c", "%U", "/small", "/large").stdout == "games\ngames\n"


def test_an_array_without_mdadm_is_not_made_and_what_installs_it_is_said(host, disks):  # noqa: F811
    host.run("sh", "-c", "rm -f $(command -v mdadm)")
    for _ in range(2):
        model(host, disks(), INSTANCE_STORE)
    done = mount(host, {"mount": "/local", "source": "instance-store", "format": "ext4"})
    assert done.stdout == "ec2-lab: NOT MOUNTED: /local: mdadm is not installed: install mdadm\n"


def test_a_volume_group_that_holds_nothing_is_named_and_not_formatted(host, disks):  # noqa: F811
    device = disks()
    host.run("sh", "-c", f"pvcreate -q {device} && vgcreate -q vg{device.rpartition('/')[2]} {device}")
    done = mount(host, {"mount": "/data", "device": device, "format": "ext4"})
    assert done.stdout == f"ec2-lab: NOT MOUNTED: /data: {device} carries LVM2_member; it is not formatted\n"


def test_a_volume_group_without_lvm_is_not_formatted_and_what_installs_it_is_said(host, disks):  # noqa: F811
    device = disks()
    host.run("pvcreate", "-q", device)
    host.run("sh", "-c", "rm $(command -v pvs)")
    before = host.run("sha256sum", device).stdout
    done = mount(host, {"mount": "/data", "device": device, "format": "ext4"})
    assert done.stdout == "ec2-lab: NOT MOUNTED: /data: pvs is not installed: install lvm2\n"
    assert host.run("sha256sum", device).stdout == before


@pytest.mark.parametrize("place", [0, MIB, 16 * MIB - 1])
def test_a_disk_with_data_that_nobody_knows_is_never_formatted(host, disks, place):  # noqa: F811
    device = disks()
    with Path(device).open("r+b") as disk:
        disk.seek(place)
        disk.write(b"x")
    done = mount(host, {"mount": "/scratch", "device": device, "format": "ext4"})
    assert f"NOT MOUNTED: /scratch: {device} carries what blkid does not know; it is not formatted" in done.stdout


def test_a_directory_that_is_not_empty_is_mounted_over_and_that_is_said(host, disks):  # noqa: F811
    host.write("/data/file", "precious")
    done = mount(host, {"mount": "/data", "device": disks(filesystem="ext4")})
    assert "is mounted on /data, read-write, over files that it hides\n" in done.stdout
    host.run("umount", "/data")
    assert host.path("/data/file").read_text() == "precious"


def test_nothing_is_mounted_in_a_volume_that_is_not_mounted(host, disks):  # noqa: F811
    inner = disks(filesystem="ext4")
    done = mount(host, {"mount": "/data", "device": "/dev/sdz"}, {"mount": "/data/more", "device": inner}, patience=0.1)
    assert "NOT MOUNTED: /data/more: /data, which it lies in, is not mounted" in done.stdout
    assert "/data/more" not in mounted(host)
