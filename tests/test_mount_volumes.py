"""The program that mounts data volumes on the machine, as far as no machine is needed."""

import ctypes
import importlib.util
import json

import pytest

from scripts.core.render import TEMPLATES

SPECIFICATION = importlib.util.spec_from_file_location("mount_volumes", TEMPLATES / "mount-volumes.py")
program = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(program)


def identify_page(name):
    page = bytearray(4096)
    page[3072 : 3072 + 32] = name.encode().ljust(32)
    return bytes(page)


@pytest.mark.parametrize("name", ["sdf", "/dev/sdf", "sdf\0\0"])
def test_the_requested_name_is_read_from_an_identify_page_with_or_without_dev(name):
    assert program.requested_name(identify_page(name)) == "sdf"


def test_the_admin_command_has_the_kernels_layout():
    assert ctypes.sizeof(program.AdminCommand) == (program.NVME_ADMIN_COMMAND >> 16) & 0x3FFF
    assert program.AdminCommand.address.offset == 24
    assert program.AdminCommand.cdw10.offset == 40


def test_an_entry_mounts_by_uuid_and_never_keeps_a_machine_from_booting():
    volume = {"mount": "/data", "read_only": True}
    assert program.entry(volume, "xfs", "UUID=1-2") == (
        "UUID=1-2 /data xfs defaults,nofail,x-systemd.device-timeout=30s,ro,nouuid 0 2\n"
    )


def test_a_disk_is_found_by_its_name_before_its_uuid_which_two_of_one_data_set_share(monkeypatch):
    there = {"/dev/xvdf", "/dev/disk/by-uuid/1-2"}
    monkeypatch.setattr(program.pathlib.Path, "is_block_device", lambda path: str(path) in there)
    assert str(program.find({"device": "/dev/sdf", "uuid": "1-2"})) == "/dev/xvdf"
    there.discard("/dev/xvdf")
    assert str(program.find({"device": "/dev/sdf", "uuid": "1-2"})) == "/dev/disk/by-uuid/1-2"


def test_fstab_names_a_volume_by_its_uuid_unless_two_disks_have_it(monkeypatch, tmp_path):
    disks = [{"uuid": "1-2"}]
    monkeypatch.setattr(program.subprocess, "check_output", lambda _: json.dumps({"blockdevices": disks}).encode())
    assert program.source(tmp_path / "nvme1n1", "1-2") == "UUID=1-2"
    disks.append({"uuid": "1-2"})
    assert program.source(tmp_path / "nvme1n1", "1-2") == str(tmp_path / "nvme1n1")


def test_one_volume_that_is_missing_keeps_no_other_from_being_mounted_and_the_program_fails(
    monkeypatch, tmp_path, capsys
):
    def mount(volume, _):
        if volume["mount"] == "/a":
            raise program.NotMounted("it did not appear")
        print("mounted", volume["mount"])

    monkeypatch.setattr(program, "mount", mount)
    (tmp_path / "volumes.json").write_text('[{"mount": "/a"}, {"mount": "/b"}]')
    assert program.main(str(tmp_path / "volumes.json")) == 1
    assert capsys.readouterr().out == "ec2-lab: NOT MOUNTED: /a: it did not appear\nmounted /b\n"


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ('{"blockdevices": [{"fstype": "ext4", "uuid": "1"}]}', ("ext4", "1")),
        (
            '{"blockdevices": [{"fstype": null, "uuid": null, "children": [{"fstype": "xfs", "uuid": "2"}]}]}',
            ("xfs", "2"),
        ),
    ],
)
def test_the_file_system_of_a_disk_or_of_its_one_partition_is_used(monkeypatch, listed, found):
    monkeypatch.setattr(program.subprocess, "check_output", lambda _: listed.encode())
    assert program.filesystem("/dev/nvme1n1") == found


def test_a_disk_without_a_file_system_is_left_as_it_is_and_said_so(monkeypatch):
    monkeypatch.setattr(
        program.subprocess, "check_output", lambda _: b'{"blockdevices": [{"fstype": null, "uuid": null}]}'
    )
    with pytest.raises(program.NotMounted, match="0 file systems found"):
        program.filesystem("/dev/nvme1n1")
