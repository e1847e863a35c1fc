"""What an experiment says of its volumes at teardown is what becomes of them."""

import pytest

VOLUMES = """
instance_types = ["g5.xlarge"]
[[data]]
dataset = "speech"
mount = "/data"
[[data]]
dataset = "speech"
mount = "/corpus"
deletion_policy = "{corpus}"
[[scratch]]
mount = "/scratch"
size_gib = 10
deletion_policy = "{scratch}"
{more}
"""
KEEP = 'retain_for = "30d"\nreason = "until the paper is out"'


def write(lab, corpus="delete", scratch="delete"):
    more = {"snapshot": 'dataset = "results"', "retain": KEEP}.get(scratch, "")
    lab.write("experiments/demo.toml", VOLUMES.format(corpus=corpus, scratch=scratch, more=more))
    lab.write("lab.toml", 'regions = ["us-east-1"]\n')


def volumes(cloud):
    return [v for v in cloud.client("ec2", "us-east-1").describe_volumes()["Volumes"] if v["State"] != "deleted"]


def snapshots(cloud, dataset):
    mine = [{"Name": "tag:lab:dataset", "Values": [dataset]}]
    return cloud.client("ec2", "us-east-1").describe_snapshots(Filters=mine)["Snapshots"]


def tags(found):
    return {tag["Key"]: tag["Value"] for tag in found["Tags"]}


def test_three_volumes_are_one_mutating_call_and_are_all_gone_after_the_teardown(lab, cloud):
    write(lab)
    assert lab.launch().code == 0
    changing = [call["action"] for call in cloud.calls() if not call["action"].startswith(("Describe", "Get"))]
    assert [action for action in changing if "SecurityGroup" not in action] == ["RunInstances"]
    assert len(volumes(cloud)) == 4
    assert lab.teardown().code == 0
    assert volumes(cloud) == []


def test_a_kept_volume_outlives_its_instance_says_so_and_is_nobodys_any_more(lab, cloud):
    write(lab, scratch="retain")
    assert lab.launch().code == 0
    assert lab.teardown().code == 0
    (kept,) = volumes(cloud)
    assert kept["Size"] == 10
    assert tags(kept)["lab:retained"].endswith(" after demo")
    assert lab.status() == []
    assert lab.launch().code == 0, "a kept volume keeps no launch from its name"
    assert lab.teardown().code == 0
    assert len(volumes(cloud)) == 2, "the second launch's is kept too"


def test_a_volume_is_snapshotted_once_its_instance_is_gone_and_deleted_when_that_is_complete(lab, cloud):
    cloud.scenario(shutting_down=0.5)
    write(lab, corpus="snapshot", scratch="snapshot")
    assert lab.launch().code == 0
    ended = lab.teardown()
    assert ended.code == 0, ended.err
    assert volumes(cloud) == []
    newest = max(snapshots(cloud, "speech"), key=lambda found: found["StartTime"])
    assert tags(newest)["lab:version"] == "2"
    assert tags(newest)["lab:uuid"] == "6f1c0a3e-5d0b-4c58-9a53-1f6f3d0f5b11", "the file system is the same"
    assert "lab:experiment" not in tags(newest), "a dataset belongs to the lab"
    (results,) = snapshots(cloud, "results")
    assert tags(results)["Name"] == "results@1"
    order = [
        call["action"]
        for call in cloud.calls()
        if call["action"] in ("TerminateInstances", "CreateSnapshot", "DeleteVolume")
    ]
    assert order == ["TerminateInstances", "CreateSnapshot", "CreateSnapshot", "DeleteVolume", "DeleteVolume"]


@pytest.mark.parametrize("fault", ["reset-after", "reset-before", "html-503"])
def test_a_lost_answer_makes_no_second_snapshot(lab, cloud, fault):
    write(lab, corpus="snapshot")
    assert lab.launch().code == 0
    cloud.scenario(faults=[{"action": "CreateSnapshot", "kind": fault, "times": 1}])
    assert lab.teardown().code == 0
    assert len(snapshots(cloud, "speech")) == 2, "the demo's own, and one more"
    assert volumes(cloud) == []


def test_a_scratch_volume_that_is_to_be_snapshotted_wants_a_name(lab):
    lab.write("experiments/demo.toml", VOLUMES.format(corpus="delete", scratch="snapshot", more=""))
    ended = lab.launch()
    assert ended.code == 1
    assert 'scratch[0]: deletion_policy = "snapshot" requires dataset' in ended.err


def test_an_earlier_snapshot_of_the_volume_does_not_stand_for_the_one_at_the_teardown(lab, cloud):
    write(lab, scratch="snapshot")
    assert lab.launch().code == 0
    (scratch,) = [volume["VolumeId"] for volume in volumes(cloud) if volume["Size"] == 10]
    mine = [
        {"Key": "lab:dataset", "Value": "results"},
        {"Key": "lab:version", "Value": "1"},
        {"Key": "lab:source", "Value": scratch},
    ]
    specification = [{"ResourceType": "snapshot", "Tags": mine}]
    cloud.client("ec2", "us-east-1").create_snapshot(VolumeId=scratch, TagSpecifications=specification)
    assert lab.teardown().code == 0
    assert sorted(tags(found)["lab:version"] for found in snapshots(cloud, "results")) == ["1", "2"]


def test_what_only_has_the_tags_of_the_saved_snapshot_does_not_stand_for_it(lab, cloud):
    write(lab, scratch="snapshot")
    assert lab.launch().code == 0
    ec2 = cloud.client("ec2", "us-east-1")
    (scratch,) = [volume["VolumeId"] for volume in volumes(cloud) if volume["Size"] == 10]
    empty = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    forged = {"lab:dataset": "results", "lab:version": "1", "lab:source": scratch, "lab:deletion-policy": "saved"}
    ec2.create_snapshot(
        VolumeId=empty,
        TagSpecifications=[{"ResourceType": "snapshot", "Tags": [{"Key": k, "Value": v} for k, v in forged.items()]}],
    )
    assert lab.teardown().code == 0
    assert scratch in {found["VolumeId"] for found in snapshots(cloud, "results")}


def test_experiments_that_end_at_the_same_time_make_a_version_each_of_the_same_data_set(lab, cloud):
    write(lab, scratch="snapshot")
    lab.waits = True  # threads of one script wait for what the others do
    names = [f"demo-{letter}" for letter in "abcd"]
    for name in names:
        assert lab.run("launch", EXP=name, BASE="demo").code == 0
    ended = lab.run("teardown", EXP="demo-*", YES="1")
    assert ended.code == 0, ended.err
    versions = [tags(found)["lab:version"] for found in snapshots(cloud, "results")]
    assert sorted(versions) == ["1", "2", "3", "4"]


@pytest.mark.parametrize("written", ["retain 9999999999d", "saved"])
def test_whatever_somebody_wrote_on_a_volume_that_is_kept_it_is_kept_and_the_instance_goes(lab, cloud, written):
    write(lab, scratch="retain")
    assert lab.launch().code == 0
    (kept,) = (volume for volume in volumes(cloud) if volume["Size"] == 10)
    ec2 = cloud.client("ec2", "us-east-1")
    ec2.create_tags(Resources=[kept["VolumeId"]], Tags=[{"Key": "lab:deletion-policy", "Value": written}])
    assert lab.teardown().code == 0
    assert [volume["VolumeId"] for volume in volumes(cloud)] == [kept["VolumeId"]]


def test_a_launch_whose_volumes_may_not_be_tagged_ends_well_says_so_and_its_teardown_keeps_them(lab, cloud):
    """It ended with an error about tags, while its instance ran, and without having brought it its code."""
    write(lab, scratch="retain")
    cloud.scenario(faults=[{"action": "CreateTags", "code": "UnauthorizedOperation"}])
    launched = lab.launch()
    assert launched.code == 0
    assert "demo: the deletion policy of its volumes could not be tagged (CreateTags: Unauth" in launched.err
    cloud.scenario()
    assert lab.teardown().code == 0
    assert [volume["Size"] for volume in volumes(cloud)] == [10]
