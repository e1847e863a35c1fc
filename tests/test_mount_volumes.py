"""The program that mounts volumes, as far as no machine is needed; tests/hosts and tests/vm have the rest."""

import ctypes
import json
from subprocess import CompletedProcess

import pytest

from tests.hosts.program import program

mounting = program("mount-volumes")


def identify_page(name):
    page = bytearray(4096)
    page[3072 : 3072 + 32] = name.encode().ljust(32)
    return bytes(page)


@pytest.mark.parametrize("name", ["sdf", "/dev/sdf", "sdf\0\0"])
def test_the_requested_name_is_read_from_an_identify_page_with_or_without_dev(name):
    assert mounting.requested_name(identify_page(name)) == "sdf"


def test_the_admin_command_has_the_kernels_layout():
    assert ctypes.sizeof(mounting.AdminCommand) == (mounting.NVME_ADMIN_COMMAND >> 16) & 0x3FFF
    assert mounting.AdminCommand.address.offset == 24
    assert mounting.AdminCommand.cdw10.offset == 40


@pytest.mark.parametrize(
    ("serial", "volume"),
    [
        ("vol0123456789abcdef0", "vol-0123456789abcdef0"),
        ("vol-0123456789abcdef0", "vol-0123456789abcdef0"),
        ("AWS1", ""),
    ],
)
def test_an_ebs_disks_serial_number_is_its_volumes_id_without_the_dash(serial, volume):
    assert mounting.volume_id(serial) == volume


def disk(path, **told):
    return mounting.Disk(path, **told)


def test_a_volume_is_found_by_its_id_whatever_the_kernel_calls_its_disk():
    there = [disk("/dev/nvme2n1", volume="vol-1"), disk("/dev/nvme1n1", volume="vol-2")]
    assert mounting.find(mounting.Volume("/data", volume="vol-2"), there, set()).path == "/dev/nvme1n1"
    assert mounting.find(mounting.Volume("/data", volume="vol-3"), there, set()) is None


def test_a_volume_is_found_by_the_name_that_it_was_asked_for_with(monkeypatch):
    names = {"/dev/nvme1n1": "sdg", "/dev/nvme2n1": "/dev/sdf"}
    monkeypatch.setattr(mounting, "identify", lambda path: identify_page(names[path]))
    there = [disk(path, model=mounting.EBS) for path in names]
    assert mounting.find(mounting.Volume("/data", device="/dev/sdf"), there, set()).path == "/dev/nvme2n1"
    older = [disk("/dev/xvda"), disk("/dev/xvdf")]
    assert mounting.find(mounting.Volume("/data", device="/dev/sdf"), older, set()).path == "/dev/xvdf"


def test_the_machines_own_disks_are_never_taken_for_a_volume(monkeypatch):
    monkeypatch.setattr(mounting, "carried", lambda *_: [])
    own = [disk("/dev/sdf", model=mounting.INSTANCE_STORE)]
    assert mounting.find(mounting.Volume("/data", device="/dev/sdf"), own, set()) is None


def on(disk, *volumes):
    """A disk as lsblk tells of it, with the logical volumes that lie on it."""
    inner = [{"path": f"/dev/mapper/{name}", "type": "lvm"} for name in volumes]
    return {"path": disk, "type": "disk", **({"children": inner} if inner else {})}


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
def test_the_volume_that_a_deep_learning_image_makes_of_the_machines_own_disks_is_taken(monkeypatch, told, found):
    monkeypatch.setattr(mounting, "disks", lambda: [disk(d["path"], model=mounting.INSTANCE_STORE) for d in told])
    told_of = {d["path"]: json.dumps({"blockdevices": [d]}).encode() for d in told}
    lsblk = lambda command, **_: CompletedProcess(command, 0, told_of[command[-1]])  # noqa: E731
    monkeypatch.setattr(mounting.subprocess, "run", lsblk)
    assert mounting.made_by_the_image([d["path"] for d in told]) == (f"/dev/mapper/{found}" if found else "")
    if found:
        assert mounting.instance_store() == f"/dev/mapper/{found}"


def test_a_line_of_fstab_never_keeps_a_machine_from_booting():
    volume = mounting.Volume("/data", read_only=True)
    assert mounting.fstab_line(volume, "xfs", "UUID=1-2") == (
        "UUID=1-2 /data xfs defaults,nofail,x-systemd.device-timeout=30s,nosuid,nodev,ro,nouuid 0 0\n"
    )
