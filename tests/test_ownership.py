"""Only what is proved to be ours is deleted: other tools copy tags, and others write into registries."""

import json

import pytest

from tests.live_resources import living_in

HERE = "us-east-1"
EXPERIMENT = 'instance_types = ["g5.xlarge"]\n[[data]]\ndataset = "speech"\nmount = "/data"\n'


@pytest.fixture
def launched(lab):
    """A lab whose experiment runs, with a volume of data."""
    lab.write("lab.toml", f'regions = ["{HERE}"]\n')
    lab.write("experiments/demo.toml", EXPERIMENT)
    assert lab.launch().code == 0
    return lab


def tags_of(thing):
    return [tag for tag in thing["Tags"] if not tag["Key"].startswith("aws:")]


def more_like(cloud, instance):
    """Launch another as the console does with all tags of the first; return its id and its volumes'."""
    ec2 = cloud.client("ec2", HERE)
    specification = [{"ResourceType": kind, "Tags": tags_of(instance)} for kind in ("instance", "volume")]
    made = ec2.run_instances(
        ImageId=instance["ImageId"], InstanceType="g5.xlarge", MinCount=1, MaxCount=1, TagSpecifications=specification
    )["Instances"][0]["InstanceId"]
    (found,) = [one for one in living_in(cloud, HERE, "instance") if one["InstanceId"] == made]
    return made, {mapping["Ebs"]["VolumeId"] for mapping in found["BlockDeviceMappings"]}


def copies(cloud):
    """Copy all tags of what an experiment has, as templates and backups do, onto one thing of each kind."""
    ec2 = cloud.client("ec2", HERE)
    (instance,) = living_in(cloud, HERE, "instance")
    volume = living_in(cloud, HERE, "volume")[0]
    made, volumes = more_like(cloud, instance)
    tags = lambda kind: [{"ResourceType": kind, "Tags": tags_of(volume)}]  # noqa: E731
    snapshot = ec2.create_snapshot(VolumeId=volume["VolumeId"], TagSpecifications=tags("snapshot"))["SnapshotId"]
    group = ec2.create_security_group(GroupName="copy", Description="x", TagSpecifications=tags("security-group"))
    key = ec2.create_key_pair(KeyName="copy", TagSpecifications=tags("key-pair"))["KeyPairId"]
    return {made, *volumes, snapshot, group["GroupId"], key}


def there(cloud):
    return {thing["id"] for thing in cloud.inventory() if thing["state"] not in ("terminated", "shutting-down")}


def test_what_carries_copied_tags_of_an_experiment_outlives_its_teardown(launched, cloud):
    copied = copies(cloud)
    ended = launched.teardown()
    assert ended.code == 0, ended.err
    assert copied <= there(cloud)
    assert ended.events[-1]["deleted"]


def test_it_outlives_the_teardown_of_a_launch_whose_answer_was_lost(lab, cloud):
    lab.write("lab.toml", f'regions = ["{HERE}"]\n')
    lab.write("experiments/demo.toml", EXPERIMENT)
    cloud.scenario(faults=[{"action": "RunInstances", "kind": "hang-after", "times": 1}])
    process = lab.start("launch", EXP="demo", JSON="1")
    while not cloud.calls("RunInstances") or not living_in(cloud, HERE, "instance"):
        assert process.poll() is None
    process.kill()
    process.communicate()
    (ours,) = living_in(cloud, HERE, "instance")
    made, _ = more_like(cloud, ours)
    assert lab.teardown().code == 0
    assert [one["InstanceId"] for one in living_in(cloud, HERE, "instance")] == [made]


def test_what_a_forged_record_names_is_left_alone_and_named(launched, cloud):
    ec2 = cloud.client("ec2", HERE)
    (ours,) = living_in(cloud, HERE, "instance")
    production = ec2.run_instances(ImageId=ours["ImageId"], InstanceType="m5.large", MinCount=1, MaxCount=1)
    production = production["Instances"][0]["InstanceId"]
    records = launched.records()
    (answer,) = [r for r in records if r.get("operation") == "RunInstances" and r["event"] == "response"]
    forged = json.loads(json.dumps(answer).replace(ours["InstanceId"], production))
    launched.registry.write_text(json.dumps([*records, {**forged, "id": "f" * 32}]))
    ended = launched.run("teardown", EXP="demo")
    assert ended.code == 1
    assert (
        f"instance {production} (us-east-1): left alone: it is in the registry, but its tags in AWS are not demo's"
        in ended.err
    )
    assert [one["InstanceId"] for one in living_in(cloud, HERE, "instance")] == [production]
    assert launched.teardown().code == 1, "and it stays in the registry"
    ec2.terminate_instances(InstanceIds=[production])
    assert launched.teardown().code == 0


def test_what_lost_our_tags_is_not_taken_for_gone(launched, cloud):
    (ours,) = living_in(cloud, HERE, "instance")
    cloud.client("ec2", HERE).delete_tags(Resources=[ours["InstanceId"]], Tags=[{"Key": "lab:registry"}])
    for script in ("teardown", "launch"):
        ended = launched.run(script, EXP="demo")
        assert ended.code == 1
        assert "restore its tags (lab:experiment=demo, lab:registry=" in ended.err
    assert len(living_in(cloud, HERE, "instance")) == 1


def test_a_teardown_of_what_the_archive_alone_knows_asks_aws_before_it_says_that_nothing_is_left(launched, cloud):
    (ours,) = living_in(cloud, HERE, "instance")
    gone = {"event": "annotation", "id": "e" * 32, "time": launched.records()[-1]["time"], "experiment": "demo",
            "annotation": {"deleted": [ours["InstanceId"]]}, "format": 1, **launched.account}  # fmt: skip
    launched.registry.write_text(json.dumps([*launched.records(), gone]))
    launched.write("away.py", "from ec2lab.session import open_session\n"
                   "with open_session('x') as session:\n    print(session.compact())\n")  # fmt: skip
    assert int(launched.run_file("away.py").out) > 0
    assert launched.teardown().code == 0
    assert living_in(cloud, HERE, "instance") == []
