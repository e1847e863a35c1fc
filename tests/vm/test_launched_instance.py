"""A launched instance, as a person meets it: booted from a real image with the very user data that the launch sent."""

import re
import shlex
import time
import uuid

import pytest

from ec2lab.datasets.disk_image import NAMESPACE
from tests.vm.conftest import SEEDED, disk
from tests.vm.instance import Disk

pytestmark = pytest.mark.vm

EXPERIMENT = """
instance_types = ["g5.xlarge"]
command = '''
limits="$(ulimit -l) $(ulimit -n) $(ulimit -c) $(ulimit -u) $(shopt -q login_shell && echo login)"
echo "ran as $(id -un) for $EXPERIMENT: $limits" > /data/result
'''
[[data]]
dataset = "speech"
mount = "/data"
owner = ":users"
mode = "2777"
"""
DATA_SET = str(uuid.uuid5(NAMESPACE, "speech"))
"""The UUID of the file system that dataset-build made."""
SOMEBODY_ELSES = "vol-0aaaaaaaaaaaaaaaa"
DEGRADED = "|| test $? = 2"
"""cloud-init warns of an interface that ifupdown has brought up already, and ends with 2, as for all warnings."""
OTHER = "11111111-2222-3333-4444-555555555555"
"""The UUID of the file system on it."""


@pytest.fixture(scope="module")
def interrupted():
    """Nothing: this instance boots for real, its disks attached from the start."""


@pytest.fixture(scope="module")
def booted(laboratory, tmp_path_factory):
    """A launched instance and how the launch ended; an older disk of somebody else's comes before the data's."""
    files = tmp_path_factory.mktemp("files")
    (files / "sample").write_text("data\n")
    laboratory.directory.write("experiments/demo.toml", EXPERIMENT)
    built = laboratory.run("dataset_build", DATASET="speech", SOURCE=str(files), VERSION="uploaded")
    assert built.code == 0, built.err

    def disks(volumes):
        other = disk(files.parent, SOMEBODY_ELSES, kind="ext4", U=OTHER)
        data = Disk(volumes["/dev/sdf"], files.parent / "data.img")
        laboratory.read_back("speech", "uploaded", data.file)
        with data.file.open("ab") as grown:  # the volume is larger than its snapshot
            grown.truncate(1280 << 20)
        return [other, data]

    return laboratory.launch("demo", disks)


def data_disk(instance):
    """The disk of the data, wherever it is among the instance's."""
    return next(disk for disk in instance.disks if disk.volume != SOMEBODY_ELSES)


@pytest.fixture
def on_instance(booted, laboratory):
    """Runs a command there as alice and returns what it prints."""

    def run(command):
        done = laboratory.ssh("demo", command, shared=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def test_the_launch_saw_the_set_up_to_its_end(booted):
    instance, ended = booted
    assert ended.code == 0, ended.err + instance.console[-3000:]
    assert "demo: logged in; waiting for its set-up" in ended.out
    assert "trusted on first use" not in ended.out


def test_cloud_init_found_ec2_and_its_tokens_and_did_all_without_error(booted, on_instance):
    instance, _ = booted
    assert on_instance("cloud-id") == "aws"
    assert "status: done" in on_instance(f"cloud-init status --long {DEGRADED}")
    assert on_instance("cloud-init query instance_id") == instance.instance
    asking = "import urllib.request; urllib.request.urlopen('http://169.254.169.254/latest/user-data')"
    assert "HTTP Error 401" in on_instance(f"python3 -c {shlex.quote(asking)} 2>&1 || true")


def test_the_host_key_on_the_console_is_the_one_that_is_pinned(booted, laboratory):
    instance, _ = booted
    shown = re.findall(r"ssh-ed25519 (\S+)", instance.console)
    pinned = (laboratory.directory.path / ".ssh/known_hosts/demo").read_text()
    assert f"{instance.instance} ssh-ed25519 {shown[-1]}" in pinned


def test_members_have_their_accounts_shells_groups_and_sudo(on_instance):
    assert on_instance("getent passwd alice") == "alice:x:4001:4001::/home/alice:/bin/zsh"
    assert on_instance("sudo -n id -un") == "root"
    assert "sudo" in on_instance("id -Gn").split()
    assert on_instance("stat -c '%a %U' ~/.ssh/authorized_keys ~/.ssh") == "600 alice\n700 alice"
    assert on_instance("sudo grep ^alice: /etc/shadow | cut -d: -f2").startswith(("*", "!"))


def test_a_member_without_sudo_has_none_and_nobody_logs_in_as_root(booted, laboratory):
    assert laboratory.ssh("demo", "id -un", user="bob").stdout == "bob\n"
    assert laboratory.ssh("demo", "sudo -n true", user="bob").returncode != 0
    refused = laboratory.ssh("demo", "true", user="alice", login="root")
    assert refused.returncode == 255
    assert "Permission denied (publickey)" in refused.stderr, "passwords are not even offered"


def test_sshd_obeys_our_drop_in(on_instance):
    effective = on_instance("sudo /usr/sbin/sshd -T").splitlines()
    assert {"passwordauthentication no", "kbdinteractiveauthentication no", "permitrootlogin no"} <= set(effective)


def test_the_data_is_mounted_from_the_right_disk_grown_and_given_away(booted, on_instance):
    instance, _ = booted
    assert on_instance("cat /data/sample") == "data"
    assert on_instance("stat -c '%G %a' /data") == "users 2777"
    assert on_instance("findmnt -no UUID /data") == DATA_SET
    assert int(on_instance("df --output=size -BM /data | tail -1").strip("M ")) > 1100
    assert re.search(
        r"ec2-lab: /dev/nvme\dn1 \(ext4\) is mounted on /data, read-write, grown from",
        instance.console,
    ), "the kernel numbers disks as it finds them"


def test_the_experiments_command_ran_as_its_own_account(on_instance):
    limits = "unlimited 1048576 0 unlimited login"
    assert on_instance("cat /data/result") == f"ran as experiment for demo: {limits}"
    shown = on_instance("systemctl show experiment -P TasksMax -P OOMPolicy")
    assert set(shown.split()) == {"infinity", "continue"}
    on_instance("sudo rm /data/result; sudo systemctl start experiment; test ! -e /data/result")  # it begins once


def test_make_users_twice_changes_nothing_the_second_time(booted, laboratory):
    first = laboratory.run("users", HOST="demo")
    assert first.code == 0, first.err
    second = laboratory.run("users", HOST="demo")
    assert "demo: nothing to change" in second.out


def test_a_removed_member_is_kept_out_and_the_others_are_not(booted, laboratory):
    removed = laboratory.run("user_remove", NAME="carol", HOST="demo")
    assert removed.code == 0, removed.err
    assert laboratory.ssh("demo", "true", user="carol").returncode == 255
    assert laboratory.ssh("demo", "true").returncode == 0


def test_sshd_takes_its_settings_back_when_no_fresh_login_confirms_them(booted, laboratory, on_instance):
    # In one login: sshd takes no new one for a moment while it reloads.
    on_instance(
        "echo PasswordAuthentication yes | sudo tee /etc/ssh/sshd_config.d/50-cloud-init.conf; "
        "sudo rm /etc/ssh/sshd_config.d/00-ec2-lab.conf; sudo systemctl reload ssh; "
        "sudo /opt/ec2-lab/sshd-hardening apply --confirm-within 3; "
        "for i in $(seq 60); do test -e /var/lib/ec2-lab/sshd/before.json || exit 0; sleep 1; done; exit 1"
    )
    assert "passwordauthentication yes" in on_instance("sudo /usr/sbin/sshd -T")
    confirmed = laboratory.run("users", HOST="demo")
    assert confirmed.code == 0, confirmed.err
    assert "sshd: confirmed" in confirmed.out
    assert "passwordauthentication no" in on_instance("sudo /usr/sbin/sshd -T")


def test_a_snapshot_is_made_of_the_frozen_data(booted, laboratory):
    instance, _ = booted
    made = laboratory.run("snapshot_create", DATASET="other", EXP="demo", MOUNT="/data")
    assert made.code == 0, made.err
    assert f"of {data_disk(instance).volume} on /data" in made.out


def test_a_volume_is_mounted_while_the_instance_runs_and_given_back(booted, laboratory, on_instance, tmp_path):
    instance, _ = booted
    mounting = laboratory.directory.start(
        "volume_mount", HOST="demo", DATASET="speech", VERSION="1", MOUNT="/more", **laboratory.variables
    )
    attached = wait_for_call(laboratory.cloud, "AttachVolume")
    instance.attach(disk(tmp_path, attached["params"]["VolumeId"], kind="ext4", U=SEEDED))
    out, err = mounting.communicate(timeout=300)
    assert mounting.returncode == 0, out + err
    assert on_instance("findmnt -no UUID /more") == SEEDED
    given_back = laboratory.run("volume_unmount", HOST="demo", MOUNT="/more")
    assert given_back.code == 0, given_back.err
    assert "is deleted, as it was made for this" in given_back.out
    assert on_instance("findmnt /more || echo none") == "none"
    instance.disks.pop()


def wait_for_call(cloud, action):
    """Wait until a call has been made, and return it."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for call in cloud.calls(action):
            return call
        time.sleep(0.2)
    raise AssertionError(f"{action} was not called")


def test_the_instances_own_disks_are_one_array_and_it_is_found_again(booted, on_instance, tmp_path):
    instance, _ = booted
    for number in (1, 2):
        instance.attach(disk(tmp_path, f"aws-{number}", mib=128))
    serials = on_instance(
        "for i in $(seq 600); do found=$(grep -l ^aws /sys/block/nvme*/device/serial); "
        'test $(echo "$found" | wc -l) = 2 && break; sleep 0.1; done; udevadm settle; echo "$found"'
    ).split()
    assert len(serials) == 2
    own = ", ".join(f'"/dev/{path.split("/")[3]}"' for path in serials)
    # All of qemu's disks are of one model; here the new ones are the instance's own.
    edits = [
        rf"s#if \([A-Z]*\)\.model==[A-Za-z]*)#if \1.path in ({own}))#",
        's#./etc/ec2-lab/volumes.json.#"volumes.json"#',
    ]
    on_instance(f"sed {' '.join(f'-e {shlex.quote(edit)}' for edit in edits)} /opt/ec2-lab/mount-volumes > program")
    entry = '[{"source": "instance-store", "mount": "/local", "format": "ext4", "mode": "1777"}]'
    on_instance(f"echo {shlex.quote(entry)} > volumes.json")
    assert "is mounted on /local, read-write, formatted" in on_instance("sudo python3 program")
    assert int(on_instance("df --output=size -BM /local | tail -1").strip("M ")) > 200, "of both disks"
    on_instance("touch /local/x; sudo umount /local; sudo mdadm --stop /dev/md/ec2-lab")
    assert "formatted" not in on_instance("sudo python3 program"), "the array of before is found"
    on_instance(
        "test -e /local/x; sudo umount /local; sudo sed -i '/local/d' /etc/fstab; sudo mdadm --stop /dev/md/ec2-lab"
    )
    del instance.disks[-2:]


def test_after_a_reboot_with_its_disks_in_another_order_all_is_as_before(booted, laboratory, on_instance):
    instance, _ = booted
    kept = "readlink /var/lib/ec2-lab/instance; cat /var/lib/ec2-lab/instance/ended.json /etc/machine-id"
    before = on_instance(f"echo kept | sudo tee /data/kept; sudo sync; {kept}")
    laboratory.ssh("demo", "sudo systemctl reboot")
    instance.wait_until_off()
    instance.disks.reverse()
    logins = instance.console.count("login:")
    instance.boot()
    instance.wait_for_console("login:", times=logins + 1)
    assert "status: done" in on_instance(f"cloud-init status --wait {DEGRADED}")
    assert on_instance("cat /data/kept; findmnt -no UUID /data") == f"kept\n{DATA_SET}"
    assert on_instance(f"cat /data/kept; {kept}") == before
    assert before.split()[1] == instance.instance
    assert on_instance("lsblk -dno SERIAL $(findmnt -no SOURCE /data)") == data_disk(instance).serial
    assert on_instance("systemctl is-active ec2-lab-volumes") == "active"
    assert OTHER in on_instance("lsblk -no UUID"), "the other disk is as it was"
