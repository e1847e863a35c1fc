"""Killed at any boundary of its work, a command loses nothing and makes nothing twice.

Every boundary is tried, one run each: a first run counts them. Afterwards the command is run again, or teardown is, and
the cloud is searched.
"""

import json

import pytest

from tests.lab_directory import REPOSITORY

pytestmark = pytest.mark.crash

REGIONS = ("us-east-1", "us-west-2")
SHARES = 6
"""The boundaries are shared out over so many tests, which run at the same time."""
EXPERIMENT = """
types = ["g5.xlarge"]
[[data]]
dataset = "speech"
mount = "/data"
[[scratch]]
mount = "/scratch"
gib = 8
at_teardown = "{at_teardown}"
{named}
"""


def prepare(lab, cloud, at_teardown="delete"):
    cloud.reset()
    cloud.weather(capacity=[{"region": "us-east-1"}])
    lab.registry.unlink(missing_ok=True)
    named = 'dataset = "results"' if at_teardown == "snapshot" else ""
    lab.write("experiments/demo.toml", EXPERIMENT.format(at_teardown=at_teardown, named=named))
    lab.write("plugins/kill.py", (REPOSITORY / "tests/crash/plugin.py").read_text())


def killed(lab, script, at):
    """Run a script that is killed at a boundary; return how many boundaries it passed, if it lived to the end."""
    counted = lab.path / "counted"
    counted.unlink(missing_ok=True)
    process = lab.start(script, EXP="demo", KILL_AT=str(at), KILL_COUNT=str(counted))
    _, err = process.communicate(timeout=120)
    assert process.returncode in (0, -9), err
    return int(counted.read_text()) if counted.exists() else None


def run(lab, script):
    (lab.path / "plugins/kill.py").unlink(missing_ok=True)
    ended = lab.run(script, EXP="demo")
    assert ended.code == 0, f"{script}: {ended.err}"
    return ended


def alive(cloud):
    """What lives in all regions, by kind."""
    found = {"instances": [], "volumes": [], "groups": [], "results": []}
    for region in REGIONS:
        ec2 = cloud.client("ec2", region)
        machines = [i for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]
        found["instances"] += [i["InstanceId"] for i in machines if i["State"]["Name"] != "terminated"]
        found["volumes"] += [v["VolumeId"] for v in ec2.describe_volumes()["Volumes"]]
        ours = [{"Name": "tag-key", "Values": ["lab:record"]}]
        found["groups"] += [g["GroupId"] for g in ec2.describe_security_groups(Filters=ours)["SecurityGroups"]]
        results = [{"Name": "tag:lab:dataset", "Values": ["results"]}]
        found["results"] += [s["SnapshotId"] for s in ec2.describe_snapshots(Filters=results)["Snapshots"]]
    return found


def registry_is_valid(lab):
    return not lab.registry.exists() or isinstance(json.loads(lab.registry.read_text()), list)


@pytest.fixture
def boundaries(lab, cloud, record_property):
    """Counts the boundaries of a script."""

    def count(script, at_teardown="delete"):
        prepare(lab, cloud, at_teardown)
        if script != "launch":
            assert lab.run("launch", EXP="demo", KILL_AT="0", KILL_COUNT=str(lab.path / "counted")).code == 0
        number = killed(lab, script, 0)
        assert number > 10
        record_property(f"boundaries of {script}", number)
        return number

    return count


@pytest.mark.parametrize("share", range(SHARES))
def test_a_launch_killed_anywhere_is_gone_on_with_or_torn_down(lab, cloud, boundaries, share):
    for at in range(1 + share, boundaries("launch") + 1, SHARES):
        prepare(lab, cloud)
        assert killed(lab, "launch", at) is None
        if at % 2:
            run(lab, "launch")
            assert len(alive(cloud)["instances"]) == 1, f"boundary {at}"
            assert len(alive(cloud)["groups"]) == len(REGIONS), f"boundary {at}: one for each region that was asked"
        started = lab.registry.exists() and "RunInstances" in lab.registry.read_text()
        if at % 2 or started:
            run(lab, "teardown")
            assert registry_is_valid(lab), f"boundary {at}"
        found = alive(cloud)
        assert (found["instances"], found["volumes"]) == ([], []), f"boundary {at}"


@pytest.mark.parametrize("share", range(SHARES))
def test_a_teardown_killed_anywhere_is_ended_by_the_next_and_saves_each_volume_once(lab, cloud, boundaries, share):
    for at in range(1 + share, boundaries("teardown", "snapshot") + 1, SHARES):
        prepare(lab, cloud, "snapshot")
        assert lab.run("launch", EXP="demo", KILL_AT="0", KILL_COUNT=str(lab.path / "counted")).code == 0
        assert killed(lab, "teardown", at) is None
        run(lab, "teardown")
        found = alive(cloud)
        assert (found["instances"], found["volumes"]) == ([], []), f"boundary {at}"
        assert len(found["results"]) == 1, f"boundary {at}"
        assert registry_is_valid(lab), f"boundary {at}"


def test_the_boundaries_are_many(boundaries):
    """What was counted is shown in the report: `pytest --junitxml`, or -rP."""
    numbers = {script: boundaries(script) for script in ("launch", "teardown")}
    print(f"boundaries tried: {numbers}")
    assert numbers["launch"] > 30
