"""A script killed at a boundary of its work, and what is there afterwards."""

import json

from tests.lab_directory import REPOSITORY

REGIONS = ("us-east-1", "us-west-2")
PLUGIN = "plugins/kill.py"


def arm(lab):
    """Let the lab's scripts be killed."""
    lab.write(PLUGIN, (REPOSITORY / "tests/crash/plugin.py").read_text())


def killed(lab, script, at, **variables):
    """Run a script that is killed at a boundary; return how many boundaries it passed, if it lived to the end."""
    arm(lab)
    counted = lab.path / "counted"
    counted.unlink(missing_ok=True)
    process = lab.start(script, KILL_AT=str(at), KILL_COUNT=str(counted), **variables)
    _, err = process.communicate(timeout=120)
    assert process.returncode in (0, -9), err
    return int(counted.read_text()) if counted.exists() else None


def run(lab, script, **variables):
    """Run a script that nobody kills."""
    (lab.path / PLUGIN).unlink(missing_ok=True)
    ended = lab.run(script, **variables)
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
    """Whether the registry is one JSON document."""
    return not lab.registry.exists() or isinstance(json.loads(lab.registry.read_text()), list)
