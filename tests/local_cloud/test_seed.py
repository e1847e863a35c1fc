"""What the local cloud begins with."""

import pytest

from tests.local_cloud.requests import look, refused, run

DEEP_LEARNING = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-{}/latest/ami-id"
PARAMETERS = [
    (DEEP_LEARNING.format("24.04"), "898082745236"),
    (DEEP_LEARNING.format("22.04"), "898082745236"),
    ("/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id", "099720109477"),
    ("/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64", "137112412989"),
]
DATA_SET = [{"Name": "tag:lab:dataset", "Values": ["speech"]}]


def test_the_demos_data_set_is_in_both_regions_as_two_snapshots(cloud):
    found = [
        cloud.client("ec2", region).describe_snapshots(Filters=DATA_SET)["Snapshots"]
        for region in ("us-east-1", "us-west-2")
    ]
    assert [len(snapshots) for snapshots in found] == [1, 1]
    east, west = (snapshots[0] for snapshots in found)
    assert east["SnapshotId"] != west["SnapshotId"]
    assert (east["State"], east["VolumeSize"], east["Encrypted"]) == ("completed", 500, True)
    tags = {tag["Key"]: tag["Value"] for tag in east["Tags"]}
    assert tags.pop("lab:uuid")
    named = {"dataset": "speech", "version": "1", "label": "speech", "filesystem": "ext4"}
    assert tags == {"Name": "speech@1", **{f"lab:{key}": value for key, value in named.items()}}


def test_the_demos_data_set_is_older_than_what_is_made_in_the_same_second(cloud):
    ec2 = cloud.client("ec2", "us-east-1")
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    made = ec2.create_snapshot(VolumeId=volume)["StartTime"]
    (seeded,) = ec2.describe_snapshots(Filters=DATA_SET)["Snapshots"]
    assert seeded["StartTime"] < made


@pytest.mark.parametrize("region", ["us-east-1", "eu-north-1"])
@pytest.mark.parametrize(("name", "owner"), PARAMETERS)
def test_public_parameters_lead_to_images_in_every_region(cloud, name, owner, region):
    ssm, ec2 = cloud.client("ssm", region), cloud.client("ec2", region)
    identity = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    assert ssm.get_parameters(Names=[name])["Parameters"][0]["Value"] == identity
    image = ec2.describe_images(ImageIds=[identity])["Images"][0]
    device = "/dev/xvda" if "amazon-linux" in name else "/dev/sda1"
    assert (image["OwnerId"], image["RootDeviceName"], image["Architecture"]) == (owner, device, "x86_64")
    instance = look(ec2, run(ec2, ImageId=f"resolve:ssm:{name}", InstanceType="g4dn.xlarge")[0]["InstanceId"])
    assert instance["ImageId"] == identity
    assert [mapping["DeviceName"] for mapping in instance["BlockDeviceMappings"]] == [device]
    (root,) = ec2.describe_volumes()["Volumes"]
    assert root["Size"] == image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"]


def test_an_image_is_the_same_at_every_start_and_another_in_each_region(cloud):
    def identity(region):
        return cloud.client("ssm", region).get_parameter(Name=PARAMETERS[0][0])["Parameter"]["Value"]

    before = identity("us-east-1")
    cloud.reset()
    assert identity("us-east-1") == before != identity("us-west-2")


def test_an_unknown_parameter_is_refused(ec2):
    assert "/no/such" in refused("SsmInvalidParameter", run, ec2, ImageId="resolve:ssm:/no/such")


def test_reset_empties_everything_again_and_again(cloud, ec2):
    for _ in range(2):
        cloud.scenario(capacity=[{"zone": "us-east-1a"}])
        run(ec2, ClientToken="t")
        ec2.create_key_pair(KeyName="k")
        cloud.reset()
        assert ec2.describe_instances()["Reservations"] == []
        assert ec2.describe_key_pairs()["KeyPairs"] == []
        assert len(ec2.describe_snapshots(Filters=DATA_SET)["Snapshots"]) == 1
        assert len(cloud.calls(everyone=True)) == 3


def test_an_accounts_own_snapshots_are_told_from_those_of_public_images(ec2, data_set):
    of = {owner: ec2.describe_snapshots(OwnerIds=[owner])["Snapshots"] for owner in ("self", "898082745236")}
    assert [snapshot["SnapshotId"] for snapshot in of["self"]] == [data_set]
    assert {snapshot["OwnerId"] for snapshot in of["898082745236"]} == {"898082745236"}
    both = [{"Name": "volume-size", "Values": ["500"]}]
    assert len(ec2.describe_snapshots(OwnerIds=["self"], Filters=both)["Snapshots"]) == 1
    assert ec2.describe_snapshots(OwnerIds=["898082745236"], Filters=both)["Snapshots"] == []
