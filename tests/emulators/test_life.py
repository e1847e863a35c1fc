"""The whole life of a lab on an AWS that nobody here wrote; what came of each step is asked of the emulator itself."""

import json
import re

import pytest

pytestmark = pytest.mark.emulator
REGIONS = ("us-east-1", "us-west-2")
SWEEP = 'instance_types = ["g5.xlarge"]\ncommand = "true"\n[matrix]\nSEED = [1, 2, 3, 4, 5]\n'
DATA = 'instance_types = ["g5.xlarge"]\n[[data]]\ndataset = "speech"\nmount = "/data"\n'
LOGGED = (
    'instance_types = ["g5.xlarge"]\ncommand = "true"\nartifact_uri = "s3://lab-runs/speech"\n'
    'instance_profile = "ec2-lab-lab-logs"\n'
)


def instances(emulator, region="us-east-1"):
    """The instances that are not terminated, by their Name tags."""
    found = emulator.client("ec2", region).describe_instances()["Reservations"]
    alive = [i for r in found for i in r["Instances"] if i["State"]["Name"] != "terminated"]
    return {tags_of(instance).get("Name", instance["InstanceId"]): instance for instance in alive}


def tags_of(item):
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags", ())}


def leftovers(emulator):
    """What there is that an account does not begin with.

    Volumes that came with an instance are left out: ministack neither tags them nor deletes them with it.
    """
    found = []
    for region in REGIONS:
        ec2 = emulator.client("ec2", region)
        found += instances(emulator, region).values()
        found += [volume for volume in ec2.describe_volumes()["Volumes"] if not volume["Attachments"]]
        found += [one for one in ec2.describe_security_groups()["SecurityGroups"] if one["GroupName"] != "default"]
    iam = emulator.client("iam", "us-east-1")
    return found + iam.list_instance_profiles()["InstanceProfiles"] + iam.list_roles(PathPrefix="/ec2-lab/")["Roles"]


def test_an_instance_from_set_up_to_the_end_of_the_lab(lab, emulator):
    assert "create 2 missing items" in lab.run("setup_aws").out
    assert lab.said("setup_aws", "setup-complete", YES="1")[0]["created"] == 2
    assert lab.said("setup_aws", "setup-complete")[0]["created"] == 0

    (lives,) = lab.said("launch", "instance-running", EXP="demo")
    made = instances(emulator)["demo"]
    assert (made["InstanceId"], made["InstanceType"]) == (lives["id"], "p4d.24xlarge")
    assert [group["GroupName"] for group in made["SecurityGroups"]] == ["ec2-lab-lab"]
    again = lab.run("launch", EXP="demo")
    assert "demo is already live" in again.error

    (shown,) = lab.status()
    assert (shown["id"], shown["state"], shown["zone"]) == (lives["id"], "running", "us-east-1a")
    lab.well("stop", EXP="demo")
    assert instances(emulator)["demo"]["State"]["Name"] == lab.status()[0]["state"] == "stopped"
    assert lab.said("start", "instance-running", EXP="demo")[0]["id"] == lives["id"]
    assert instances(emulator)["demo"]["State"]["Name"] == lab.status()[0]["state"] == "running"
    assert lab.said("audit", "audit-finding", REGIONS="us-east-1 us-west-2") == []

    assert lab.said("teardown", "teardown-complete", EXP="demo")[0]["deleted"] == [lives["id"]]
    assert (lab.status(), instances(emulator)) == ([], {})
    records = [one["record"] for one in lab.said("history", "history-record", EXP="demo")]
    done = [record["operation"] for record in records if record["event"] == "intent"]
    assert done == ["RunInstances", "StopInstances", "StartInstances", "TerminateInstances"]
    (cost,) = lab.said("cost", "cost-total")
    assert 0 < cost["dollars"] < 1
    lab.well("report", OUTPUT="lab.html")
    assert lives["id"] in (lab.path / "lab.html").read_text()

    assert "delete 2 resources" in lab.run("teardown_aws").out
    assert len(lab.said("teardown_aws", "teardown-complete", YES="1")[0]["deleted"]) == 2
    assert leftovers(emulator) == []


def test_a_sweep_of_five(lab, emulator):
    lab.write("experiments/grid.toml", SWEEP)
    lab.well("sweep", EXP="grid")
    assert sorted(instances(emulator)) == [f"grid-seed{number}" for number in range(1, 6)]
    lab.well("sweep", EXP="grid")
    assert len(instances(emulator)) == 5
    lab.well("teardown", EXP="grid-*", YES="1")
    assert instances(emulator) == {}


def by_hand(emulator, version, region="us-east-1"):
    """Make a snapshot as somebody makes one by hand, and tag it as a version of a dataset."""
    ec2 = emulator.client("ec2", region)
    volume = ec2.create_volume(AvailabilityZone=f"{region}a", Size=8)["VolumeId"]
    tags = [{"Key": "lab:dataset", "Value": "speech"}, {"Key": "lab:version", "Value": version}]
    tagged = [{"ResourceType": "snapshot", "Tags": tags}]
    snapshot = ec2.create_snapshot(VolumeId=volume, TagSpecifications=tagged)["SnapshotId"]
    ec2.delete_volume(VolumeId=volume)
    return snapshot


def test_an_instance_is_looked_for_where_its_dataset_is(lab, emulator):
    snapshot = by_hand(emulator, "1", "us-west-2")
    (shown,) = lab.said("datasets", "dataset-version")
    assert (shown["id"], shown["region"], shown["size_gib"]) == (snapshot, "us-west-2", 8)
    lab.write("experiments/speech.toml", DATA)
    ended = lab.well("launch", EXP="speech", JSON="1")
    (passed_over,) = [event for event in ended.events if event["event"] == "region-skipped"]
    assert passed_over["region"] == "us-east-1"
    assert list(instances(emulator, "us-west-2")) == ["speech"]
    lab.well("teardown", EXP="speech")
    lab.well("dataset_prune", KEEP_LAST="1", YES="1")
    assert [one["id"] for one in lab.said("datasets", "dataset-version")] == [snapshot]


def test_logs_and_the_exit_code_come_from_the_bucket(lab, emulator):
    lab.write("lab.toml", (lab.path / "lab.toml").read_text() + '[logs]\nartifact_uri = "s3://lab-runs/speech"\n')
    lab.write("experiments/logged.toml", LOGGED)
    s3 = emulator.client("s3", "us-east-1")
    s3.create_bucket(Bucket="lab-runs")
    lab.well("setup_aws", YES="1")
    (lives,) = lab.said("launch", "instance-running", EXP="logged")
    assert instances(emulator)["logged"]["IamInstanceProfile"]["Arn"].endswith("/ec2-lab-lab-logs")

    place = f"speech/logged/{lives['id']}"
    for begins, part in ((0, "epoch 1\n"), (8, "epoch 2\n")):
        s3.put_object(Bucket="lab-runs", Key=f"{place}/log/{begins:020}", Body=part.encode())
    ended = json.dumps({"exit_code": 3, "at": "2026-11-24T10:00:00Z"}).encode()
    s3.put_object(Bucket="lab-runs", Key=f"{place}/ended.json", Body=ended)
    assert lab.run("logs", EXP="logged").out == "epoch 1\nepoch 2\n"
    assert lab.run("wait", EXP="logged").code == 3

    lab.well("teardown", EXP="logged")
    lab.well("teardown_aws", YES="1")
    assert leftovers(emulator) == []


def test_an_orphan_is_found_and_deleted_by_its_name_or_taken_back_into_the_registry(lab, emulator):
    here = {"REGIONS": "us-east-1 us-west-2"}
    lab.well("launch", EXP="demo")
    instance = instances(emulator)["demo"]["InstanceId"]
    lab.registry.rename(lab.path / "lost.json")
    (found,) = [one for one in lab.run("audit", JSON="1", **here).events if one.get("id") == instance]
    assert (found["finding"], found["resource_type"]) == ("another registry's", "instance")
    identity = re.search(r"ONLY=([0-9a-f]{8})`", lab.run("registry_rebuild", **here).out)[1]
    lab.well("registry_rebuild", YES="1", ONLY=identity, **here)
    assert [one["id"] for one in lab.status()] == [instance]

    kept = [record for record in lab.records() if "registry" in (record.get("annotation") or {})]
    lab.registry.write_text(json.dumps(kept))
    shown = lab.run("audit", FIX="1", **here)
    assert (shown.code, list(instances(emulator))) == (3, ["demo"])
    assert f"ONLY={instance} selects it" in shown.out
    lab.well("audit", FIX="1", ONLY=instance, **here)
    assert instances(emulator) == {}


def test_a_run_is_repeated_and_watched_until_somebody_ends_it(lab, emulator):
    lab.write("experiments/spot.toml", 'instance_types = ["g5.xlarge"]\nmarkets = ["spot", "on-demand"]\n')
    lab.well("launch", EXP="spot")
    lab.well("teardown", EXP="spot")
    (lives,) = lab.said("rerun", "instance-running", EXP="spot", NEW_EXP="again")
    again = instances(emulator)["again"]
    assert (again["InstanceId"], again["ImageId"]) == (lives["id"], "ami-0abcdef1234567890")
    watching = lab.start("watch", EXP="again", JSON="1")
    assert json.loads(watching.stdout.readline())["event"] == "instance-running"
    emulator.client("ec2", "us-east-1").terminate_instances(InstanceIds=[lives["id"]])
    out, err = watching.communicate(timeout=60)
    assert (watching.returncode, err) == (0, "")
    assert json.loads(out.splitlines()[0])["state"] == "terminated"
    assert lab.status() == []
    lab.well("teardown", EXP="again")
