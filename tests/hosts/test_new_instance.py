"""An instance made from an image of a used one has nothing of that one's; the same instance keeps all."""

import json

import pytest

from ec2lab.hosts.accounts_document import DOCUMENT, OVER_SSH
from ec2lab.hosts.program_packer import sent, unit
from ec2lab.launch.parts.base_instance import UNIT, base_cloud_init
from ec2lab.launch.parts.members import ONCE
from ec2lab.templates import text_of
from tests.hosts.host import Host

USED, NEW = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"
STATE = "/var/lib/ec2-lab/instance"
SYSTEMCTL = '#!/bin/sh\necho "$@" >> /run/systemctl\n'
OWN = "[Service]\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n"
GONE = b"UUID=1 /data ext4 defaults,nofail 0 0\n"
FSTAB = b"LABEL=root / ext4 defaults 0 1\n" + GONE + b"# /data was here\nUUID=2 /home\xff ext4\n"
THEIRS = (
    f"/var/lib/ec2-lab/{USED}/ended.json", "/var/lib/ec2-lab/sshd/before.json", "/opt/ec2-lab/experiment",
    "/etc/systemd/system/ec2-lab-idle.service", "/etc/systemd/system/multi-user.target.wants/ec2-lab-idle.service",
    "/etc/systemd/system/ec2-lab-time-to-live.timer", "/etc/systemd/system/experiment.service.d/tools.conf",
    "/etc/systemd/system/multi-user.target.wants/experiment.service",
    "/etc/systemd/system/ec2-lab-time-to-live.timer.d/deadline.conf", "/etc/systemd/system/experiment-log.timer",
    f"/var/lib/cloud/instances/{USED}/user-data.txt", "/opt/ec2-lab/restart-ttl",
    "/home/experiment/code/train.py",
)  # fmt: skip
NOT_THE_LABS = (
    "/etc/systemd/system/own.service", f"/var/lib/cloud/instances/{NEW}/user-data.txt", "/home/experiment/.venv/python",
    "/var/lib/cloud/scripts/per-boot/own", "/opt/own/program",
)  # fmt: skip


@pytest.fixture
def used(host_with_sshd, alice_key, bob_key):
    """An instance that ran an experiment, with alice and bob for members, as an image of it begins."""
    host = host_with_sshd
    host.write("/usr/bin/systemctl", SYSTEMCTL, mode=0o755)
    host.run("useradd", "--create-home", "experiment")
    members = {name: {"keys": [key.line], "sudo": "nopasswd"} for name, key in (("alice", alice_key), ("bob", bob_key))}
    host.accounts({"members": members})
    host.run("mkdir", "-p", f"/var/lib/ec2-lab/{USED}")
    host.run("ln", "-s", USED, STATE)
    host.write("/opt/ec2-lab/accounts", sent("accounts.py", *OVER_SSH), mode=0o755)
    for path in (*THEIRS, *NOT_THE_LABS):
        host.write(path, "a secret\n")
    host.write("/etc/ec2-lab/volumes.json", json.dumps([{"mount": "/data"}, {"mount": "/absent"}]))
    host.path("/etc/fstab").write_bytes(FSTAB)
    host.run("chown", "-R", "experiment:", "/home/experiment")
    host.run("mkdir", "/data")
    host.run("mount", "-t", "tmpfs", "data", "/data")
    host.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    host.write("/run/systemctl", "")
    assert host.ssh("bob", "true", key=bob_key.file).worked
    return host


def new_instance(host, identity, check=True):
    """Boot as an instance, as cloud-init's bootcmd does it."""
    return host.run("sh", "-c", unit(text_of("new-instance.sh")), INSTANCE_ID=identity, check=check)


def there(host, paths):
    return [path for path in paths if host.path(path).exists()]


def test_what_another_instance_left_in_an_image_is_gone_and_nobody_gets_in_until_they_are_asked_for(
    used, alice_key, bob_key
):
    host = used
    first, *said = new_instance(host, NEW).stdout.splitlines()
    assert first == f"ec2-lab: this is {NEW}, made from an image of another instance, which is forgotten"
    assert "ec2-lab: bob: locked /home/bob is kept" in said
    assert there(host, THEIRS) == []
    assert there(host, NOT_THE_LABS) == list(NOT_THE_LABS)
    assert host.run("readlink", STATE).stdout == f"{NEW}\n"
    assert host.path("/etc/fstab").read_bytes() == FSTAB.replace(GONE, b"")
    assert host.run("mountpoint", "-q", "/data", check=False).returncode, "the volume of before is not mounted"
    assert host.path("/etc/machine-id").read_text() != "0123456789abcdef0123456789abcdef\n"
    told = host.path("/run/systemctl").read_text()
    assert "stop --no-block ec2-lab-idle.service\n" in told
    assert told.endswith("restart systemd-journald\ndaemon-reload\n")
    assert not host.ssh("alice", "true", key=alice_key.file).worked
    assert not host.ssh("bob", "true", key=bob_key.file).worked
    host.write("/opt/ec2-lab/accounts", sent("accounts.py"), mode=0o755)
    host.accounts({"members": {"alice": {"keys": [alice_key.line], "sudo": "nopasswd"}}})
    assert host.ssh("alice", "sudo", "-n", "true", key=alice_key.file).worked
    assert not host.ssh("bob", "true", key=bob_key.file).worked
    assert host.run("cat", "/home/bob/.ssh/authorized_keys", check=False).stdout == ""


def test_the_members_of_a_launch_are_let_in_once_in_the_life_of_an_instance(used, alice_key, bob_key):
    members = {name: {"keys": [key.line], "sudo": None} for name, key in (("alice", alice_key), ("bob", bob_key))}
    launched = {name: {"shell": None, "uid": None, "groups": [], **entry} for name, entry in members.items()}
    used.write(DOCUMENT, json.dumps({"members": launched, "make_groups": [], "reserved": []}))
    used.run("sh", "-c", ONCE)
    assert used.ssh("bob", "true", key=bob_key.file).worked
    used.write("/opt/ec2-lab/accounts", sent("accounts.py"), mode=0o755)
    used.accounts({"members": {"alice": members["alice"]}})
    used.run("sh", "-c", ONCE)
    assert not used.ssh("bob", "true", key=bob_key.file).worked, "after a `cloud-init clean`"


@pytest.mark.parametrize("identity", [USED, "iid-datasource-none", ""])
def test_a_later_boot_of_the_same_instance_changes_nothing_nor_one_without_the_metadata_service(
    used, bob_key, identity
):
    before = used.state(), used.run("sh", "-c", "ls -lanR --time-style=full-iso /var/lib/ec2-lab /var/lib/cloud").stdout
    ended = new_instance(used, identity, check=False)
    assert ended.returncode == (identity != USED)
    assert ("PROBLEM: neither cloud-init nor the firmware tells" in ended.stdout) == (identity != USED)
    assert before == (
        used.state(), used.run("sh", "-c", "ls -lanR --time-style=full-iso /var/lib/ec2-lab /var/lib/cloud").stdout
    )  # fmt: skip
    assert used.path("/run/systemctl").read_text() == ""
    assert used.ssh("bob", "true", key=bob_key.file).worked


def test_what_can_not_be_forgotten_is_said_and_keeps_nothing_else(used, bob_key):
    used.write("/usr/bin/mountpoint", "#!/bin/sh\nexit 0\n", mode=0o755)
    used.run("umount", "/data")
    ended = new_instance(used, NEW, check=False)
    assert ended.returncode == 1
    assert "ec2-lab: PROBLEM: could not be reset: unmount /data; unmount /absent;\n" in ended.stdout
    assert "unmount /data" in used.path(f"{STATE}/incomplete").read_text(), "which fails the launch"
    assert there(used, THEIRS) == []
    assert not used.ssh("bob", "true", key=bob_key.file).worked


def test_it_is_forgotten_too_where_a_distribution_disables_all_units_at_a_first_boot(debian_with_systemd, tmp_path):
    host = Host(debian_with_systemd, tmp_path)
    try:
        for file in base_cloud_init()["write_files"]:
            host.write(file["path"], file["content"], mode=int(file["permissions"], 8))
        host.write("/usr/lib/systemd/system-preset/99-default-disable.preset", "disable *\n")
        host.write(
            "/etc/systemd/system/own.service", "[Service]\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n"
        )
        host.run("systemctl", "enable", UNIT, "own.service")
        host.run("systemctl", "preset-all", "--preset-mode=full")
        told = host.run("systemctl", "is-enabled", UNIT, "own.service", check=False).stdout
        assert told == "enabled\ndisabled\n"
    finally:
        host.stop()
