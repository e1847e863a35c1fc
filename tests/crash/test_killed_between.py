"""Killed at any boundary, what works on an instance or a dataset between launch and teardown does nothing twice."""

import itertools
import json

import pytest

from tests.crash.killing import FULL, World, gone, killed, killed_anywhere, registry_is_valid, run
from tests.hosts.host import PATIENCE, holds_within
from tests.hosts.instance import be_the_instance
from tests.hosts.test_data import data_volume, frozen
from tests.hosts.test_mount_volumes import mounted, name
from tests.hosts.test_mount_volumes import unmount as unmount_on

pytestmark = pytest.mark.crash

EXPERIMENT = 'instance_types = ["c6i.large"]\n[[data]]\ndataset = "speech"\nmount = "/data"\n'
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
    """How the one instance is."""
    reservations = cloud.client("ec2", "us-east-1").describe_instances()["Reservations"]
    (instance,) = [i for r in reservations for i in r["Instances"] if i["State"]["Name"] != "terminated"]
    return instance["State"]["Name"]


@pytest.mark.parametrize(("script", "ends"), [("stop", "stopped"), ("start", "running")])
def test_a_stop_or_a_start_killed_anywhere_is_ended_by_the_next(launched, cloud, script, ends):
    for once in ("stop", "start"):  # prices that are asked for once are at hand then
        run(launched, once, EXP="demo")
    if script == "start":
        run(launched, "stop", EXP="demo")
    for boundary in killed_anywhere(launched, cloud, script, at_least=6, EXP="demo"):
        run(launched, script, EXP="demo")
        assert state(cloud) == ends, boundary
        assert registry_is_valid(launched), boundary
    run(launched, "teardown", EXP="demo")
    assert gone(cloud) == 1


def test_a_copy_killed_anywhere_is_made_once_in_each_region(lab, cloud):
    wanted = {"DATASET": "speech", "REGIONS": " ".join(COPIED_TO)}
    for boundary in killed_anywhere(lab, cloud, "snapshot_copy", at_least=6, **wanted):
        run(lab, "snapshot_copy", **wanted)
        for region in COPIED_TO:
            ours = [{"Name": "tag:lab:dataset", "Values": ["speech"]}]
            found = cloud.client("ec2", region).describe_snapshots(Filters=ours)["Snapshots"]
            assert [s["State"] for s in found] == ["completed"], f"{boundary}, {region}"
        assert registry_is_valid(lab), boundary


@pytest.fixture
def instance(launched, cloud, host_with_sshd, alice_key):
    """(lab, variables that log in to its instance, the instance's id, its host)."""
    variables, identity, _ = be_the_instance(cloud, launched, host_with_sshd, "alice", alice_key)
    return launched, variables, identity, host_with_sshd


def each_boundary(lab, script, share, variables):
    """Kill a script at each boundary of a share, and yield its number, until the script lives to its end.

    What is on an instance cannot be kept as files and the cloud can: here each boundary has a kill of its own.
    """
    for at in itertools.count(1 + share, SHARES):
        if not killed(lab, script, at, **variables(at)):
            assert at > 6
            return
        yield at


@pytest.mark.parametrize("share", range(SHARES))
def test_a_snapshot_killed_anywhere_is_made_once_and_nothing_stays_frozen(instance, disks, cloud, share):
    lab, variables, identity, host = instance
    device = disks(filesystem="ext4", L="speech")
    host.write("/etc/ec2-lab/volumes.json", json.dumps([{"mount": "/data", "device": device}]))
    host.run("/opt/ec2-lab/mount-volumes")
    volume = data_volume(cloud, identity)

    def wanted(at):
        return {"EXP": "demo", "MOUNT": "/data", "VOLUME": volume, "VERSION": "1", "DATASET": f"set-{at}", **variables}

    for at in each_boundary(lab, "snapshot_create", share, wanted):
        assert holds_within(PATIENCE, lambda: not frozen(host, "/data")), f"boundary {at}"
        run(lab, "snapshot_create", **wanted(at))
        ours = [{"Name": "tag:lab:dataset", "Values": [f"set-{at}"]}]
        found = cloud.client("ec2", "us-east-1").describe_snapshots(Filters=ours)["Snapshots"]
        assert [s["State"] for s in found] == ["completed"], f"boundary {at}"
        assert registry_is_valid(lab), f"boundary {at}"


@pytest.mark.parametrize("share", range(SHARES))
def test_a_mount_killed_anywhere_is_ended_by_the_next_with_one_volume(instance, disks, cloud, speech, share):
    lab, variables, _, host = instance
    device = disks(filesystem="ext4", U=speech)
    wanted = {"HOST": "demo", "DATASET": "speech", "MOUNT": "/more", **variables}

    prepared = World.as_it_is(lab, cloud)

    def unmount(at):
        """By the script, or for half of the boundaries, unless FULL=1, by what is on the instance alone."""
        name(host, device, added(cloud))  # by which the host proves that it is this one
        if FULL or at % 2:
            run(lab, "volume_unmount", HOST="demo", MOUNT="/more", **variables)
            name(host, device, "")
        else:
            unmount_on(host, "/more")
            name(host, device, "")
            prepared.restore()

    for at in each_boundary(lab, "volume_mount", share, lambda _: wanted):
        run(lab, "volume_mount", **wanted)
        assert mounted(host)["/more"]["uuid"] == speech, f"boundary {at}"
        assert registry_is_valid(lab), f"boundary {at}"
        unmount(at)
    unmount(1)
    run(lab, "teardown", EXP="demo")
    assert gone(cloud) == 1


def added(cloud):
    """The one volume that was made for a mount."""
    ours = [{"Name": "tag-key", "Values": ["lab:mount"]}]
    (volume,) = cloud.client("ec2", "us-east-1").describe_volumes(Filters=ours)["Volumes"]
    return volume["VolumeId"]
