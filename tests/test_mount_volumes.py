"""The program that mounts volumes, as far as no instance is needed; tests/hosts and tests/vm have the rest."""

import json
import struct
from subprocess import CompletedProcess

import pytest

from tests.hosts.program import program

mounting = program("mount-volumes")
over_ssh = program("volumes-over-ssh")


def identify_page(name):
    page = bytearray(4096)
    page[3072 : 3072 + 32] = name.encode().ljust(32)
    return bytes(page)


@pytest.mark.parametrize("name", ["sdf", "/dev/sdf", "sdf\0\0"])
def test_the_requested_name_is_read_from_an_identify_page_with_or_without_dev(name):
    assert mounting.requested_name(identify_page(name)) == "sdf"


def test_the_admin_command_has_the_kernels_layout():
    """linux/nvme_ioctl.h: addr is 24 bytes in, data_len 36, cdw10 40; its size stands in the ioctl's number."""
    packed = struct.pack(mounting.ADMIN_COMMAND, 0x06, 0xABCD, 4096, 1)
    assert len(packed) == (mounting.NVME_ADMIN_COMMAND >> 16) & 0x3FFF
    assert struct.unpack_from("<Q", packed, 24) == (0xABCD,)
    assert struct.unpack_from("<II", packed, 36) == (4096, 1)


@pytest.mark.parametrize(
    ("serial", "volume"),
    [
        ("vol0123456789abcdef0", "vol-0123456789abcdef0"),
        ("vol-0123456789abcdef0", "vol-0123456789abcdef0"),
        ("AWS1", ""),
    ],
)
def test_an_ebs_disks_serial_number_is_its_volumes_id_without_the_dash(serial, volume):
    assert over_ssh.volume_id(serial) == volume


def disks(*names, model=""):
    return lambda: [mounting.Disk(name, model) for name in names]


def test_a_volume_is_found_by_its_id_whatever_the_kernel_calls_its_disk(monkeypatch):
    told = [{"path": "/dev/nvme2n1", "serial": "vol1"}, {"path": "/dev/nvme1n1", "serial": "vol2"}]
    monkeypatch.setattr(over_ssh, "lsblk", lambda *_: [*told, {"path": "/dev/loop0", "serial": None}])
    assert over_ssh.found_disk(over_ssh.EbsVolume("/data", volume="vol-2")) == "/dev/nvme1n1"
    assert over_ssh.found_disk(over_ssh.EbsVolume("/data", volume="vol-3")) == ""
    assert over_ssh.found_disk(over_ssh.EbsVolume("/data")) == ""


def test_a_volume_is_found_by_the_name_that_it_was_asked_for_with(monkeypatch):
    names = {"/dev/nvme1n1": "sdg", "/dev/nvme2n1": "/dev/sdf"}
    monkeypatch.setattr(mounting, "identify", lambda path: identify_page(names[path]))
    monkeypatch.setattr(mounting, "disks", disks(*names, model=mounting.EBS))
    assert mounting.find(mounting.Volume("/data", device="/dev/sdf"), set()) == "/dev/nvme2n1"
    monkeypatch.setattr(mounting, "disks", disks("/dev/xvda", "/dev/xvdf"))
    assert mounting.find(mounting.Volume("/data", device="/dev/sdf"), set()) == "/dev/xvdf"


def test_the_instances_own_disks_are_never_taken_for_a_volume(monkeypatch):
    monkeypatch.setattr(mounting, "uuids", lambda _: [])
    monkeypatch.setattr(mounting, "disks", disks("/dev/sdf", model=mounting.INSTANCE_STORE))
    assert mounting.find(mounting.Volume("/data", device="/dev/sdf"), set()) == ""


def on(disk, *volumes):
    """A disk as lsblk tells of it, and the logical volumes that lie on it."""
    return [{"path": disk, "type": "disk"}, *({"path": f"/dev/mapper/{name}", "type": "lvm"} for name in volumes)]


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ([on("/dev/nvme1n1", "vg.01-lv_ephemeral"), on("/dev/nvme2n1", "vg.01-lv_ephemeral")], "vg.01-lv_ephemeral"),
        ([on("/dev/nvme1n1", "vg.01-lv_ephemeral")], "vg.01-lv_ephemeral"),
        ([on("/dev/nvme1n1"), on("/dev/nvme2n1")], ""),
        ([on("/dev/nvme1n1", "mine"), on("/dev/nvme2n1")], ""),
        ([on("/dev/nvme1n1", "one", "other")], ""),
    ],
)
def test_the_volume_that_a_deep_learning_image_makes_of_the_instances_own_disks_is_taken(monkeypatch, told, found):
    monkeypatch.setattr(mounting, "disks", disks(*(d[0]["path"] for d in told), model=mounting.INSTANCE_STORE))
    told_of = {d[0]["path"]: json.dumps({"blockdevices": d}).encode() for d in told}
    lsblk = lambda command, **_: CompletedProcess(command, 0, told_of[command[-1]])  # noqa: E731
    monkeypatch.setattr(mounting.subprocess, "run", lsblk)
    assert mounting.made_by_the_image([d[0]["path"] for d in told]) == (f"/dev/mapper/{found}" if found else "")
    if found:
        assert mounting.instance_store() == f"/dev/mapper/{found}"


def test_a_line_of_fstab_never_keeps_an_instance_from_booting():
    volume = mounting.Volume("/my data", read_only=True)
    assert over_ssh.fstab_line(volume, "xfs", "UUID=1-2") == (
        "UUID=1-2 /my\\040data xfs defaults,nofail,x-systemd.device-timeout=30s,x-ec2-lab,nosuid,nodev,ro,nouuid 0 0"
    )
