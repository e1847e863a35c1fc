"""Datasets and volumes on an instance that runs: snapshotted from a frozen file system, mounted, given back."""

import json
import signal
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from tests.hosts.instance import be_the_instance
from tests.hosts.test_mount_volumes import disks, mounted, name, uuid  # noqa: F401 - a fixture
from tests.hosts.test_volumes_over_ssh import working
from tests.waiting import wait_until


@pytest.fixture
def instance(cloud, lab, host_with_sshd, alice_key):
    """(lab, variables that log in to its instance, the instance's id, its host)."""
    lab.write("lab.toml", 'regions = ["us-east-1"]\n')
    lab.write(
        "experiments/demo.toml", 'instance_types = ["g5.xlarge"]\n[[data]]\ndataset = "speech"\nmount = "/data"\n'
    )
    assert lab.launch().code == 0
    variables, identity, _ = be_the_instance(cloud, lab, host_with_sshd, "alice", alice_key)
    return lab, variables, identity, host_with_sshd


@pytest.fixture
def speech(cloud):
    """The UUID of the demo's dataset: another in each test, as all tests' disks are seen by all."""
    own = str(uuid4())
    for region in ("us-east-1", "us-west-2"):
        ec2 = cloud.client("ec2", region)
        for snapshot in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]:
            ec2.create_tags(Resources=[snapshot["SnapshotId"]], Tags=[{"Key": "lab:uuid", "Value": own}])
    return own


def data_volume(cloud, instance):
    """The id of the instance's data volume."""
    found = cloud.client("ec2", "us-east-1").describe_instances(InstanceIds=[instance])
    (described,) = found["Reservations"][0]["Instances"]
    (volume,) = [m["Ebs"]["VolumeId"] for m in described["BlockDeviceMappings"] if m["DeviceName"] == "/dev/sdf"]
    return volume


def versions(cloud):
    mine = [{"Name": "tag:lab:dataset", "Values": ["speech"]}]
    found = cloud.client("ec2", "us-east-1").describe_snapshots(Filters=mine)["Snapshots"]
    return {tag["Value"]: s for s in found for tag in s["Tags"] if tag["Key"] == "lab:version"}


def frozen(host, mount):
    """Whether a write to a file system waits: a freeze of a frozen one fails."""
    tried = host.run("fsfreeze", "--freeze", mount, check=False)
    if tried.returncode == 0:
        host.run("fsfreeze", "--unfreeze", mount)
    return tried.returncode != 0


@pytest.fixture
def data(instance, disks, cloud):  # noqa: F811
    """The instance with its data mounted; (lab, variables, host, volume)."""
    lab, variables, identity, host = instance
    device = disks(filesystem="ext4", L="speech")
    host.write("/etc/ec2-lab/volumes.json", json.dumps([{"mount": "/data", "device": device}]))
    host.run("/opt/ec2-lab/mount-volumes")
    return lab, variables, host, data_volume(cloud, identity), device


def test_a_version_is_made_with_what_a_later_launch_needs_to_mount_it(data, cloud):
    lab, variables, host, volume, device = data
    ended = lab.run("snapshot_create", DATASET="speech", EXP="demo", MOUNT="/data", VOLUME=volume, **variables)
    assert ended.code == 0, ended.err
    assert "speech@2 is complete" in ended.out
    tags = {tag["Key"]: tag["Value"] for tag in versions(cloud)["2"]["Tags"]}
    assert (tags["lab:uuid"], tags["lab:label"], tags["lab:filesystem"]) == (uuid(device), "speech", "ext4")
    assert (tags["lab:source"], tags["Name"]) == (volume, "speech@2")
    assert int(tags["lab:bytes"]) > 0
    assert "lab:experiment" not in tags
    assert not frozen(host, "/data")


def test_a_snapshot_whose_response_was_lost_is_not_made_again_though_it_is_complete_at_once(data, cloud):
    lab, variables, _, volume, _ = data
    cloud.scenario(snapshot_seconds=0, faults=[{"action": "CreateSnapshot", "kind": "truncated", "times": 1}])
    ended = lab.run("snapshot_create", DATASET="speech", EXP="demo", MOUNT="/data", VOLUME=volume, **variables)
    assert ended.code == 0, ended.err
    assert set(versions(cloud)) == {"1", "2"}


def test_the_file_system_is_frozen_for_the_call_alone(data, cloud):
    lab, variables, host, volume, _ = data
    cloud.scenario(latency={"CreateSnapshot": 1.0}, snapshot_seconds=600.0)
    running = lab.start("snapshot_create", DATASET="speech", EXP="demo", VOLUME=volume, MOUNT="/data", **variables)
    wait_until(lambda: cloud.calls("CreateSnapshot"))
    assert frozen(host, "/data")
    wait_until(lambda: not frozen(host, "/data"))
    assert running.poll() is None, "the snapshot is pending"
    cloud.advance(600)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 0, err


def test_killed_while_it_is_frozen_it_is_thawed_and_the_next_run_takes_the_snapshot_up(data, cloud):
    lab, variables, host, volume, _ = data
    cloud.scenario(snapshot_seconds=4.0, faults=[{"action": "CreateSnapshot", "kind": "hang-after", "times": 1}])
    running = lab.start("snapshot_create", DATASET="speech", EXP="demo", VOLUME=volume, MOUNT="/data", **variables)
    wait_until(lambda: cloud.calls("CreateSnapshot"))
    running.kill()
    running.communicate()
    cloud.scenario(snapshot_seconds=4.0)
    wait_until(lambda: not frozen(host, "/data"))
    again = lab.run("snapshot_create", DATASET="speech", EXP="demo", VOLUME=volume, MOUNT="/data", **variables)
    assert again.code == 0, again.err
    assert set(versions(cloud)) == {"1", "2"}
    assert "which an earlier run began" in again.out


def test_what_only_has_the_tags_of_a_version_is_not_taken_for_it(data, cloud):
    lab, variables, _, volume, _ = data
    ec2 = cloud.client("ec2", "us-east-1")
    empty = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    (identity,) = [r["annotation"]["registry"] for r in lab.records() if "registry" in (r.get("annotation") or {})]
    forged = {"lab:dataset": "speech", "lab:version": "7", "lab:source": volume, "lab:registry": identity}
    tags = [{"Key": key, "Value": value} for key, value in forged.items()]
    ec2.create_snapshot(VolumeId=empty, TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags}])
    wanted = {"DATASET": "speech", "VERSION": "7", "EXP": "demo", "MOUNT": "/data", "VOLUME": volume}
    assert "VERSION: speech@7 exists already" in lab.run("snapshot_create", **wanted, **variables).error


def test_a_volume_that_can_not_be_frozen_is_not_snapshotted(data, cloud):
    lab, variables, host, volume, _ = data
    host.run("fsfreeze", "--freeze", "/data")
    ended = lab.run("snapshot_create", DATASET="speech", EXP="demo", VOLUME=volume, MOUNT="/data", **variables)
    host.run("fsfreeze", "--unfreeze", "/data")
    assert ended.error == "error: demo: /data can't be frozen: it is frozen already"
    assert cloud.calls("CreateSnapshot") == []


def test_which_volume_is_meant_is_asked_where_it_is_not_clear(data):
    lab, variables, _, _, _ = data
    ended = lab.run("snapshot_create", DATASET="speech", EXP="demo", MOUNT="/nowhere", **variables)
    assert ended.code == 1
    assert "MOUNT=/nowhere names 0 of its volumes (it has " in ended.error


def attachments(cloud, instance):
    found = cloud.client("ec2", "us-east-1").describe_instances(InstanceIds=[instance])
    (described,) = found["Reservations"][0]["Instances"]
    return {m["DeviceName"]: m["Ebs"] for m in described["BlockDeviceMappings"]}


def volumes(cloud):
    return cloud.client("ec2", "us-east-1").describe_volumes()["Volumes"]


def test_a_data_set_is_mounted_on_a_running_instance_and_given_back(instance, disks, cloud, speech):  # noqa: F811
    lab, variables, identity, host = instance
    device = disks(filesystem="ext4", U=speech)
    before = len(volumes(cloud))
    ended = lab.run("volume_mount", HOST="demo", DATASET="speech", MOUNT="/more", **variables)
    assert ended.code == 0, ended.out + ended.err
    assert max(map(len, ended.out.splitlines())) <= 80
    assert mounted(host)["/more"]["uuid"] == speech
    attached = attachments(cloud, identity)["/dev/sdg"]
    assert attached["DeleteOnTermination"] is True
    assert len(volumes(cloud)) == before + 1
    name(host, device, attached["VolumeId"])
    back = lab.run("volume_unmount", HOST="demo", MOUNT="/more", **variables)
    assert back.code == 0, back.err
    assert back.out.count("is deleted") == back.out.count("is deleted, as it was made for this") == 1
    assert "/more" not in mounted(host)
    assert len(volumes(cloud)) == before


def test_what_was_made_is_undone_when_the_mount_fails(instance, cloud):
    lab, variables, identity, host = instance
    host.write("/data2/file", "x")
    before, there = len(volumes(cloud)), attachments(cloud, identity)
    host.run("mount", "-t", "tmpfs", "none", "/data2")
    ended = lab.run("volume_mount", HOST="demo", DATASET="speech", MOUNT="/data2", **variables)
    assert ended.code == 1
    assert "demo: /data2 is not mounted: something is mounted there already (none)" in ended.error
    assert len(volumes(cloud)) == before
    assert attachments(cloud, identity).keys() == there.keys()


@pytest.mark.parametrize("action", ["AttachVolume", "ModifyInstanceAttribute", "CreateVolume"])
def test_what_was_made_is_undone_when_aws_refuses_a_step(instance, cloud, action):
    lab, variables, identity, _ = instance
    before, there = len(volumes(cloud)), attachments(cloud, identity)
    cloud.scenario(faults=[{"action": action, "code": "UnauthorizedOperation"}])
    ended = lab.run("volume_mount", HOST="demo", DATASET="speech", MOUNT="/more", **variables)
    assert ended.code == 1
    assert len(volumes(cloud)) == before
    assert attachments(cloud, identity).keys() == there.keys()


def test_what_may_have_been_attached_is_detached_where_no_response_tells_it(instance, cloud):
    lab, variables, identity, _ = instance
    before, there = len(volumes(cloud)), attachments(cloud, identity)
    cloud.scenario(faults=[{"action": "AttachVolume", "kind": "reset-after"}])
    ended = lab.run("volume_mount", HOST="demo", DATASET="speech", MOUNT="/more", **variables)
    assert ended.code == 1
    assert len(volumes(cloud)) == before, ended.out
    assert attachments(cloud, identity).keys() == there.keys()


def test_what_is_left_of_an_interrupted_mount_or_unmount_is_named_with_the_way_on(instance, disks, cloud, speech):  # noqa: F811
    lab, variables, identity, host = instance
    device, before = disks(filesystem="ext4", U=speech), len(volumes(cloud))
    mount = {"HOST": "demo", "DATASET": "speech", "MOUNT": "/more", **variables}
    cloud.scenario(faults=[{"action": "CreateVolume", "kind": "hang-after", "times": 1}])
    running = lab.start("volume_mount", **mount)
    assert wait_until(lambda: cloud.calls("CreateVolume"))
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "a volume may have been created; run the same command again to continue, `make teardown EXP=demo`" in out
    assert lab.run("volume_mount", **mount).code == 0
    assert len(volumes(cloud)) == before + 1
    volume = attachments(cloud, identity)["/dev/sdg"]["VolumeId"]
    name(host, device, volume)
    cloud.scenario(faults=[{"action": "DetachVolume", "kind": "reset-after"}])
    refused = lab.run("volume_unmount", HOST="demo", MOUNT="/more", **variables)
    assert refused.code == 1
    assert f"`make volume-unmount HOST=demo VOLUME={volume}` continues from here" in refused.out
    cloud.scenario()
    assert lab.run("volume_unmount", HOST="demo", VOLUME=volume, **variables).code == 0
    assert len(volumes(cloud)) == before


def test_a_volume_in_use_is_not_detached_and_who_uses_it_is_said_in_one_line(instance, disks, cloud, speech):  # noqa: F811
    lab, variables, identity, host = instance
    device = disks(filesystem="ext4", U=speech)
    assert lab.run("volume_mount", HOST="demo", DATASET="speech", MOUNT="/more", **variables).code == 0
    volume = attachments(cloud, identity)["/dev/sdg"]["VolumeId"]
    nameless = lab.run("volume_unmount", HOST="demo", MOUNT="/more", **variables)
    assert f"demo: /more is on {device}, which reports no volume id, and AWS has none attached under" in nameless.error
    name(host, device, volume)
    with working(host, "cd /more") as process:
        refused = lab.run("volume_unmount", HOST="demo", MOUNT="/more", **variables)
    assert refused.error == f"error: demo: /more is in use by sleep (pid {process}, user root); it stays mounted"
    assert "/more" in mounted(host)
    assert cloud.calls("DetachVolume") == []
    host.run("umount", "/more")
    with working(host, f"exec 3<{device}", "unshare", "--mount"):  # somebody unmounted it by hand, and has it elsewhere
        host.run("mount", device, "/mnt")
        kept = lab.run("volume_unmount", HOST="demo", VOLUME=volume, **variables)
        assert "/mnt" in mounted(host)
        host.run("umount", "/mnt")
    assert kept.code == 1
    assert cloud.calls("DetachVolume") == []
    back = lab.run("volume_unmount", HOST="demo", VOLUME=volume, **variables)
    assert back.code == 0, back.err
    assert f"{volume} is mounted nowhere" in back.out
    assert back.out.count("is deleted") == back.out.count("is deleted, as it was made for this") == 1


def test_what_the_host_may_be_using_stays_attached_when_a_mount_fails(instance, disks, cloud, speech):  # noqa: F811
    lab, variables, identity, host = instance
    disks(filesystem="ext4", U=speech)
    host.write("/usr/bin/findmnt", "#!/bin/sh\nkill -KILL $PPID\n", mode=0o755)  # in the midst of its work
    before = attachments(cloud, identity).keys()
    ended = lab.run("volume_mount", HOST="demo", DATASET="speech", MOUNT="/more", **variables)
    assert ended.code == 1
    assert "stays attached: demo may be using it" in ended.out
    assert attachments(cloud, identity).keys() - before == {"/dev/sdg"}


def test_killed_half_way_and_run_again_it_makes_no_second_volume(instance, disks, cloud, speech):  # noqa: F811
    lab, variables, _, _ = instance
    disks(filesystem="ext4", U=speech)
    before = len(volumes(cloud))
    cloud.scenario(faults=[{"action": "AttachVolume", "kind": "hang-after", "times": 1}])
    running = lab.start("volume_mount", HOST="demo", DATASET="speech", MOUNT="/more", **variables)
    wait_until(lambda: cloud.calls("AttachVolume"))
    running.kill()
    running.communicate()
    again = lab.run("volume_mount", HOST="demo", DATASET="speech", MOUNT="/more", **variables)
    assert again.code == 0, again.err
    assert len(volumes(cloud)) == before + 1
    assert lab.teardown().code == 0
    assert volumes(cloud) == []


def test_a_second_mount_of_the_same_finds_it_done(instance, disks, cloud, speech):  # noqa: F811
    lab, variables, _, host = instance
    disks(filesystem="ext4", U=speech)
    before = len(volumes(cloud))
    for _ in range(2):
        ended = lab.run("volume_mount", HOST="demo", DATASET="speech", MOUNT="/more", **variables)
        assert ended.code == 0, ended.out + ended.err
    assert len(volumes(cloud)) == before + 1
    assert mounted(host)["/more"]["uuid"] == speech


def test_make_ssh_just_works_and_the_host_key_is_the_consoles(instance):
    lab, variables, identity, _ = instance
    settings = Path(variables["HOME"], ".ssh/config")  # what is the user's own counts here
    settings.write_text(settings.read_text().partition("Host *")[0])
    process = subprocess.run(
        [lab.python, "-m", "scripts.ssh"], cwd=lab.path, env=lab.environment(EXP="demo", **variables), input="id -un\n",
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert process.stdout.strip().endswith("alice"), process.stderr
    known = (lab.path / ".ssh/known_hosts/demo").read_text()
    assert known.startswith(f"{identity} ssh-ed25519 ")


def test_an_instance_whose_console_has_no_key_is_trusted_on_first_use_aloud_and_on_record(instance, cloud):
    lab, variables, identity, _ = instance
    cloud.host(identity, "us-east-1", "127.0.0.1", "login: ")
    lab.run("users", HOST="demo", DRY_RUN="1", **variables)
    shown = lab.run("users", HOST="demo", DRY_RUN="1", **variables)
    assert shown.code == 0, shown.err
    (note,) = [r["annotation"] for r in lab.records() if "trusted-on-first-use" in r.get("annotation", {})]
    assert note["trusted-on-first-use"]["instance"] == identity
    assert note["trusted-on-first-use"]["fingerprints"][0].startswith("SHA256:")


def test_a_young_instance_that_a_teammate_launched_has_its_key_waited_for_and_is_not_just_trusted(instance, cloud):
    lab, variables, identity, host = instance
    lab.write("lab.toml", 'regions = ["us-east-1"]\n[ssh]\nboot_timeout = "60s"\nhost_key_timeout = "5m"\n')
    cloud.host(identity, "us-east-1", "127.0.0.1", "booting")
    looking = lab.start("users", HOST="demo", DRY_RUN="1", **variables)
    assert "demo: reading its host key from its console" in looking.stderr.readline()
    key = host.path("/etc/ssh/ssh_host_ed25519_key.pub").read_text().strip()
    console = f"-----BEGIN SSH HOST KEY KEYS-----\n{key}\n-----END SSH HOST KEY KEYS-----\n"
    cloud.host(identity, "us-east-1", "127.0.0.1", console)
    _, error = looking.communicate(timeout=60)
    assert looking.returncode == 0, error
    assert not [r for r in lab.records() if "trusted-on-first-use" in (r.get("annotation") or {})]
    assert key.split()[1] in (lab.path / ".ssh/known_hosts/demo").read_text()
