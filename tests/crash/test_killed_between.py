"""Killed at any boundary, what works on a machine or a data set between launch and teardown does nothing twice."""

import json

import pytest

from tests.crash.killing import gone, killed, registry_is_valid, run
from tests.hosts.host import PATIENCE, holds_within
from tests.hosts.machine import be_the_machine
from tests.hosts.test_data import data_volume, frozen
from tests.hosts.test_mount_volumes import mounted

pytestmark = pytest.mark.crash

EXPERIMENT = 'types = ["c6i.large"]\n[[data]]\ndataset = "speech"\nmount = "/data"\n'
SHARES = 3
COPIED_TO = ("eu-west-1", "ap-northeast-1")


@pytest.fixture
def launched(lab):
    """A lab whose experiment runs."""
    lab.write("lab.toml", 'regions = ["us-east-1"]\n')
    lab.write("experiments/demo.toml", EXPERIMENT)
    run(lab, "launch", EXP="demo")
    return lab


def state(cloud):
    """How the one machine is."""
    reservations = cloud.client("ec2", "us-east-1").describe_instances()["Reservations"]
    (machine,) = [i for r in reservations for i in r["Instances"] if i["State"]["Name"] != "terminated"]
    return machine["State"]["Name"]


def every(share, number):
    """The boundaries of a share; that there are any is no chance."""
    assert number > 6
    print(f"boundaries: {number}")
    return range(1 + share, number + 1, SHARES)


@pytest.mark.parametrize(("script", "back", "ends"), [("stop", "start", "stopped"), ("start", "stop", "running")])
def test_a_stop_or_a_start_killed_anywhere_is_ended_by_the_next(launched, cloud, script, back, ends):
    for once in ("stop", "start"):  # prices that are asked for once are at hand then
        run(launched, once, EXP="demo")
    if script == "start":
        run(launched, "stop", EXP="demo")
    number = killed(launched, script, 0, EXP="demo")
    print(f"boundaries of {script}: {number}")
    assert number > 6
    for at in range(1, number + 1):
        run(launched, back, EXP="demo")
        assert killed(launched, script, at, EXP="demo") is None, f"boundary {at}"
        run(launched, script, EXP="demo")
        assert state(cloud) == ends, f"boundary {at}"
        assert registry_is_valid(launched), f"boundary {at}"
    run(launched, "teardown", EXP="demo")
    assert gone(cloud) == 1


@pytest.mark.parametrize("share", range(SHARES))
def test_a_copy_killed_anywhere_is_made_once_in_each_region(lab, cloud, share):
    wanted = {"DATASET": "speech", "REGIONS": " ".join(COPIED_TO)}
    for at in every(share, killed(lab, "snapshot_copy", 0, **wanted)):
        cloud.reset()
        lab.registry.unlink()
        killed(lab, "snapshot_copy", at, **wanted)
        run(lab, "snapshot_copy", **wanted)
        for region in COPIED_TO:
            ours = [{"Name": "tag:lab:dataset", "Values": ["speech"]}]
            found = cloud.client("ec2", region).describe_snapshots(Filters=ours)["Snapshots"]
            assert [s["State"] for s in found] == ["completed"], f"boundary {at}, {region}"
        assert registry_is_valid(lab), f"boundary {at}"


@pytest.fixture
def machine(launched, cloud, host_with_sshd, alice_key):
    """(lab, variables that log in to its machine, the machine's id, its host)."""
    variables, identity, _ = be_the_machine(cloud, launched, host_with_sshd, "alice", alice_key)
    return launched, variables, identity, host_with_sshd


@pytest.mark.parametrize("share", range(SHARES))
def test_a_snapshot_killed_anywhere_is_made_once_and_nothing_stays_frozen(machine, disks, cloud, share):
    lab, variables, identity, host = machine
    device = disks(filesystem="ext4", L="speech")
    host.write("/etc/ec2-lab/volumes.json", json.dumps([{"mount": "/data", "device": device}]))
    host.run("/opt/ec2-lab/mount-volumes")
    volume = data_volume(cloud, identity)
    wanted = {"EXP": "demo", "MOUNT": "/data", "VOLUME": volume, "VERSION": "1", **variables}
    for at in every(share, killed(lab, "snapshot_create", 0, DATASET="first", **wanted)):
        killed(lab, "snapshot_create", at, DATASET=f"set-{at}", **wanted)
        assert holds_within(PATIENCE, lambda: not frozen(host, "/data")), f"boundary {at}"
        run(lab, "snapshot_create", DATASET=f"set-{at}", **wanted)
        ours = [{"Name": "tag:lab:dataset", "Values": [f"set-{at}"]}]
        found = cloud.client("ec2", "us-east-1").describe_snapshots(Filters=ours)["Snapshots"]
        assert [s["State"] for s in found] == ["completed"], f"boundary {at}"
        assert registry_is_valid(lab), f"boundary {at}"


@pytest.mark.parametrize("share", range(SHARES))
def test_a_mount_killed_anywhere_is_ended_by_the_next_with_one_volume(machine, disks, cloud, speech, share):
    lab, variables, _, host = machine
    disks(filesystem="ext4", U=speech)
    wanted = {"HOST": "demo", "DATASET": "speech", **variables}
    number = killed(lab, "volume_mount", 0, MOUNT="/first", **wanted)
    run(lab, "volume_unmount", HOST="demo", MOUNT="/first", VOLUME=added(cloud), **variables)
    for at in every(share, number):
        killed(lab, "volume_mount", at, MOUNT=f"/m{at}", **wanted)
        run(lab, "volume_mount", MOUNT=f"/m{at}", **wanted)
        volume = added(cloud)
        assert mounted(host)[f"/m{at}"]["uuid"] == speech, f"boundary {at}"
        run(lab, "volume_unmount", HOST="demo", MOUNT=f"/m{at}", VOLUME=volume, **variables)
        assert registry_is_valid(lab), f"boundary {at}"
    run(lab, "teardown", EXP="demo")
    assert gone(cloud) == 1


def added(cloud):
    """The one volume that was made for a mount."""
    ours = [{"Name": "tag-key", "Values": ["lab:mount"]}]
    (volume,) = cloud.client("ec2", "us-east-1").describe_volumes(Filters=ours)["Volumes"]
    return volume["VolumeId"]
