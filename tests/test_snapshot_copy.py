"""A dataset is copied to where launches are to find it, once."""

import pytest

DATA = 'instance_types = ["g5.xlarge"]\n[[data]]\ndataset = "speech"\nmount = "/data"\n'


def copy(lab, regions, **more):
    return lab.run("snapshot_copy", DATASET="speech", REGIONS=regions, JSON="1", **more)


def there(cloud, region):
    mine = [{"Name": "tag:lab:dataset", "Values": ["speech"]}]
    return cloud.client("ec2", region).describe_snapshots(Filters=mine)["Snapshots"]


def test_the_command_that_a_passed_over_region_names_makes_the_launch_possible(lab, cloud):
    lab.write("experiments/demo.toml", DATA + "\n")
    lab.write("lab.toml", 'regions = ["us-east-1", "eu-west-1"]\n')
    cloud.scenario(capacity=[{"region": "us-east-1"}])
    ended = lab.launch()
    (passed_over,) = [event for event in ended.events if event["event"] == "region-skipped"]
    assert "`make snapshot-copy DATASET=speech REGIONS=eu-west-1`" in passed_over["reason"]
    assert copy(lab, "eu-west-1").code == 0
    (lives,) = [event for event in lab.launch().events if event["event"] == "instance-running"]
    assert lives["zone"].startswith("eu-west-1")


def test_the_tags_go_with_it_and_the_copy_is_encrypted(lab, cloud):
    assert copy(lab, "eu-west-1 eu-central-1").code == 0
    for region in ("eu-west-1", "eu-central-1"):
        (snapshot,) = there(cloud, region)
        tags = {tag["Key"]: tag["Value"] for tag in snapshot["Tags"]}
        assert (tags["lab:dataset"], tags["lab:version"], tags["Name"]) == ("speech", "1", "speech@1")
        assert tags["lab:uuid"]
        assert snapshot["Encrypted"]


def test_what_is_there_is_not_copied_twice(lab, cloud):
    for _ in range(2):
        assert copy(lab, "eu-west-1 us-west-2").code == 0
    assert [call["region"] for call in cloud.calls("CopySnapshot")] == ["eu-west-1"]


def test_one_regions_failure_stops_no_other_and_is_named_at_the_end(lab, cloud):
    cloud.scenario(
        faults=[{"action": "CopySnapshot", "region": "eu-west-1", "code": "SnapshotCopyUnsupported.InterRegion"}]
    )
    ended = copy(lab, "eu-west-1 eu-central-1")
    assert ended.code == 1
    assert ended.error == "error: speech: not copied to eu-west-1; fix that and run this again"
    assert len(there(cloud, "eu-central-1")) == 1


def test_a_region_that_does_not_answer_stops_no_other(lab, cloud):
    cloud.scenario(faults=[{"action": "DescribeSnapshots", "region": "eu-west-1", "kind": "reset-before"}])
    ended = copy(lab, "eu-west-1 eu-central-1")
    assert ended.code == 1
    assert ended.error == "error: speech: not copied to eu-west-1; fix that and run this again"
    assert [snapshot["State"] for snapshot in there(cloud, "eu-central-1")] == ["completed"]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "DATASET, REGIONS: what is copied, and where to?"),
        ({"DATASET": "speech", "REGIONS": "europe"}, "REGIONS: 'europe' is not a region"),
        ({"DATASET": "spech", "REGIONS": "eu-west-1"}, "DATASET: no region of the lab (us-east-1, us-west-2) has"),
        ({"DATASET": "speech", "VERSION": "7", "REGIONS": "eu-west-1"}, "has a completed snapshot of speech@7"),
    ],
)
def test_what_can_not_be_copied_is_one_line_and_nothing_is_copied(lab, cloud, variables, said):
    ended = lab.run("snapshot_copy", **variables)
    assert ended.code == 1
    assert said in ended.error
    assert cloud.calls("CopySnapshot") == []


def test_an_older_version_that_is_copied_later_does_not_become_the_newest(lab, cloud):
    ec2 = cloud.client("ec2", "us-east-1")
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=8)["VolumeId"]
    tags = [{"Key": "lab:dataset", "Value": "speech"}, {"Key": "lab:version", "Value": "2"}]
    ec2.create_snapshot(VolumeId=volume, TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags}])
    assert copy(lab, "eu-west-1", VERSION="2").code == 0
    assert copy(lab, "eu-west-1", VERSION="1").code == 0
    lab.write("lab.toml", 'regions = ["eu-west-1"]\n')
    lab.write("experiments/demo.toml", DATA)
    assert lab.launch().code == 0
    (instance,) = lab.status()
    assert instance["data"] == "speech@2 on /data"
