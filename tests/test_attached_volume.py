"""Which volume is meant where a disk tells no volume's id (Xen): by AWS's device names, or none."""

from pathlib import Path

import pytest

from ec2lab.errors import UserError
from ec2lab.hosts.ssh import Host
from ec2lab.volumes.mounted import AttachedVolume, MountedVolume, attached_volume

HOST = Host("demo", Path("config"))
ATTACHED = {"/dev/sda1": "vol-0a", "/dev/sdf": "vol-0f", "/dev/xvdg": "vol-0b"}
INSTANCE = {
    "BlockDeviceMappings": [{"DeviceName": name, "Ebs": {"VolumeId": volume}} for name, volume in ATTACHED.items()]
}


def on(disk, mount="/data", volume=""):
    return MountedVolume(mount, f"{disk}1", disk, volume, "ext4", "", "", read_only=False, bytes_used=0, bytes_total=1)


@pytest.mark.parametrize("named", ["", "vol-0f"])
def test_a_disk_without_an_id_is_what_aws_attached_under_its_name(named):
    mounted = [on("/dev/xvda", "/"), on("/dev/xvdf")]
    assert attached_volume(HOST, INSTANCE, mounted, "/data", named) == AttachedVolume("vol-0f", "/dev/sdf", "/data")


@pytest.mark.parametrize("disk", ["/dev/xvdh", "/dev/xvdba", "/dev/loop3", ""])
def test_what_aws_has_under_no_such_name_is_refused_and_never_an_empty_id(disk):
    with pytest.raises(UserError, match="reports no volume id, and AWS has none attached under that name"):
        attached_volume(HOST, INSTANCE, [on(disk)], "/data", "")


def test_what_is_mounted_is_on_another_volume_than_the_one_that_is_named():
    with pytest.raises(UserError, match="/data is on vol-0f, not on vol-0b"):
        attached_volume(HOST, INSTANCE, [on("/dev/xvdf")], "/data", "vol-0b")


def test_what_is_attached_and_mounted_nowhere_is_given_back_too():
    mounted = [on("/dev/xvda", "/"), on("/dev/xvdf")]
    assert attached_volume(HOST, INSTANCE, mounted, "", "vol-0b") == AttachedVolume("vol-0b", "/dev/xvdg", "")


def test_an_instance_that_claims_a_volume_of_another_is_not_believed():
    with pytest.raises(UserError, match="which AWS does not show as attached"):
        attached_volume(HOST, INSTANCE, [on("/dev/nvme1n1", volume="vol-0c")], "/data", "")
