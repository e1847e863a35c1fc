"""Snapshots, volumes' loading, consoles and addresses are as EC2 shows them."""

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def ec2(cloud):
    return cloud.client("ec2", "us-east-1")


@pytest.fixture
def volume(ec2):
    return ec2.create_volume(AvailabilityZone="us-east-1a", Size=8, Encrypted=True)["VolumeId"]


def code_of(refused):
    return refused.value.response["Error"]["Code"]


def test_a_snapshot_is_pending_with_growing_progress_and_no_volume_is_made_from_it(cloud, ec2, volume):
    cloud.scenario(snapshot_seconds=60)
    made = ec2.create_snapshot(VolumeId=volume)
    assert (made["State"], made["Progress"]) == ("pending", "0%")
    (shown,) = ec2.describe_snapshots(SnapshotIds=[made["SnapshotId"]])["Snapshots"]
    assert shown["State"] == "pending"
    assert int(shown["Progress"].rstrip("%")) < 10
    with pytest.raises(ClientError) as refused:
        ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=made["SnapshotId"])
    assert code_of(refused) == "IncorrectState"


def test_a_copy_has_no_tags_but_its_own_and_is_of_a_completed_snapshot_alone(cloud, ec2, volume):
    tags = [{"Key": "a", "Value": "1"}]
    source = ec2.create_snapshot(VolumeId=volume, TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags}])
    there = cloud.client("ec2", "us-west-2")
    copied = there.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=source["SnapshotId"])
    (shown,) = there.describe_snapshots(SnapshotIds=[copied["SnapshotId"]])["Snapshots"]
    assert shown.get("Tags", []) == []
    assert shown["Encrypted"]
    assert ":us-west-2:" in shown["KmsKeyId"]
    cloud.scenario(snapshot_seconds=60)
    pending = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    with pytest.raises(ClientError) as refused:
        there.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=pending)
    assert code_of(refused) == "IncorrectState"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"SourceSnapshotId": "snap-0123456789abcdef0"}, "InvalidSnapshot.NotFound"),
        ({"CompletionDurationMinutes": 20}, "InvalidParameterValue"),
    ],
)
def test_a_copy_that_ec2_would_refuse_is_refused(cloud, ec2, volume, more, code):
    source = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    with pytest.raises(ClientError) as refused:
        cloud.client("ec2", "us-west-2").copy_snapshot(
            **{"SourceRegion": "us-east-1", "SourceSnapshotId": source, **more}
        )
    assert code_of(refused) == code


def test_more_copies_at_a_time_than_the_limit_are_refused(cloud, ec2, volume):
    source = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    cloud.scenario(copy_seconds=60, concurrent_copies=1)
    there = cloud.client("ec2", "us-west-2")
    there.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=source)
    with pytest.raises(ClientError) as refused:
        there.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=source)
    assert code_of(refused) == "ResourceLimitExceeded"


def test_a_volume_from_a_snapshot_loads_over_time_and_an_empty_one_has_nothing_to_load(cloud, ec2, volume):
    cloud.scenario(initialization_seconds=3600)
    source = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    made = ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=source)["VolumeId"]
    shown = {s["VolumeId"]: s for s in ec2.describe_volume_status(VolumeIds=[volume, made])["VolumeStatuses"]}
    assert shown[made]["InitializationStatusDetails"]["Progress"] < 5
    assert "InitializationStatusDetails" not in shown[volume]


def launch(ec2, instance_type="m5.large"):
    image = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    made = ec2.run_instances(ImageId=image, InstanceType=instance_type, MinCount=1, MaxCount=1)
    return made["Instances"][0]["InstanceId"]


def address(ec2, instance):
    return ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]["PublicIpAddress"]


def test_an_address_is_nobody_elses_and_another_one_after_a_stop(ec2):
    first, second = launch(ec2), launch(ec2)
    before = address(ec2, first)
    assert before.startswith("127.")
    assert before != address(ec2, second)
    ec2.stop_instances(InstanceIds=[first])
    ec2.start_instances(InstanceIds=[first])
    assert address(ec2, first) != before


def test_a_console_is_empty_at_first_and_then_that_of_the_host_behind_it(cloud, ec2):
    instance = launch(ec2)
    assert "does not run" in ec2.get_console_output(InstanceId=instance, Latest=True)["Output"]
    cloud.host(instance, "us-east-1", "127.0.0.1", "login:")
    assert ec2.get_console_output(InstanceId=instance)["Output"] == "login:"
    assert address(ec2, instance) == "127.0.0.1"
    cloud.scenario(console_seconds=60)
    assert ec2.get_console_output(InstanceId=instance).get("Output", "") == ""


def test_the_latest_console_is_for_nitro_instances_alone(ec2):
    with pytest.raises(ClientError) as refused:
        ec2.get_console_output(InstanceId=launch(ec2, "m4.large"), Latest=True)
    assert code_of(refused) == "UnsupportedOperation"
