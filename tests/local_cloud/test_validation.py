"""What AWS refuses and moto accepts; nothing is left behind by a refusal."""

import base64

import pytest

from tests.local_cloud.requests import every_instance, look, refused, run, run_in, state

UNKNOWN_GROUP, UNKNOWN_SNAPSHOT = "sg-0123456789abcdef0", "snap-0123456789abcdef0"


def mapping(device="/dev/sdf", **volume):
    return {"DeviceName": device, "Ebs": volume}


def assert_nothing_is_there(ec2):
    assert every_instance(ec2) == []
    assert ec2.describe_volumes()["Volumes"] == []
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []


REFUSED = {
    "an unknown image": ("InvalidAMIID.NotFound", {"ImageId": "ami-0123456789abcdef0"}),
    "no image id": ("InvalidAMIID.Malformed", {"ImageId": "ubuntu"}),
    "an empty image id": ("InvalidAMIID.Malformed", {"ImageId": ""}),
    "an unknown type": ("InvalidParameterValue", {"InstanceType": "g99.huge"}),
    "an unknown zone": ("InvalidParameterValue", {"Placement": {"AvailabilityZone": "us-east-1z"}}),
    "a zone of another region": ("InvalidParameterValue", {"Placement": {"AvailabilityZone": "us-west-2a"}}),
    "an unknown subnet": ("InvalidSubnetID.NotFound", {"SubnetId": "subnet-0123456789abcdef0"}),
    "an unknown key pair": ("InvalidKeyPair.NotFound", {"KeyName": "nobody"}),
    "an unknown group": ("InvalidGroup.NotFound", {"SecurityGroupIds": [UNKNOWN_GROUP]}),
    "an unknown group's name": ("InvalidGroup.NotFound", {"SecurityGroups": ["nobody"]}),
    "an interface's unknown group": (
        "InvalidGroup.NotFound", {"NetworkInterfaces": [{"DeviceIndex": 0, "Groups": [UNKNOWN_GROUP]}]},
    ),
    "too much user data": ("InvalidParameterValue", {"UserData": "x" * 16385}),
    "an unknown snapshot": (
        "InvalidSnapshot.NotFound", {"BlockDeviceMappings": [mapping(SnapshotId=UNKNOWN_SNAPSHOT)]},
    ),
    "a volume of nothing": ("InvalidBlockDeviceMapping", {"BlockDeviceMappings": [mapping(DeleteOnTermination=True)]}),
    "a volume without a device": ("MissingParameter", {"BlockDeviceMappings": [{"Ebs": {"VolumeSize": 1}}]}),
    "a device without a volume": ("MissingParameter", {"BlockDeviceMappings": [{"DeviceName": "/dev/sdf"}]}),
    "a volume type that is none": (
        "UnknownVolumeType", {"BlockDeviceMappings": [mapping(VolumeSize=1, VolumeType="gp9")]},
    ),
    "a key for what is not encrypted": (
        "InvalidParameterDependency", {"BlockDeviceMappings": [mapping(VolumeSize=1, KmsKeyId="alias/mine")]},
    ),
    "one device twice": ("InvalidBlockDeviceMapping", {"BlockDeviceMappings": [mapping(VolumeSize=1)] * 2}),
    "a root smaller than its image": (
        "InvalidBlockDeviceMapping", {"BlockDeviceMappings": [mapping("/dev/sda1", VolumeSize=4)]},
    ),
    "a long token": ("InvalidParameterValue", {"ClientToken": "t" * 65}),
    "an unknown profile": ("InvalidParameterValue", {"IamInstanceProfile": {"Name": "nobody"}}),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_run_instances_refuses(ec2, case):
    code, asked = REFUSED[case]
    refused(code, run, ec2, **asked)
    assert_nothing_is_there(ec2)


def test_more_at_least_than_at_most_is_refused(ec2):
    refused("InvalidParameterValue", run, ec2, count=1, least=2)


def test_a_zone_that_lacks_the_type_is_refused_with_those_that_have_it(ec2):
    message = refused("Unsupported", run_in, ec2, "us-east-1e", InstanceType="p4d.24xlarge")
    assert message.startswith(
        "Your requested instance type (p4d.24xlarge) is not supported in your requested Availability Zone "
        "(us-east-1e). Please retry your request by not specifying an Availability Zone or choosing us-east-1"
    )


def test_a_region_that_lacks_the_type_is_refused_and_names_no_zone(cloud):
    message = refused("Unsupported", run, cloud.client("ec2", "us-west-1"), InstanceType="p4d.24xlarge")
    assert "us-west-1" not in message


def test_user_data_of_16_kib_is_taken(ec2):
    identity = run(ec2, UserData="x" * 16384)[0]["InstanceId"]
    told = ec2.describe_instance_attribute(InstanceId=identity, Attribute="userData")["UserData"]["Value"]
    assert base64.b64decode(told) == b"x" * 16384


def test_a_volume_smaller_than_its_snapshot_is_refused_with_the_size_that_would_do(ec2, data_set):
    small = [mapping(SnapshotId=data_set, VolumeSize=5)]
    assert refused("InvalidBlockDeviceMapping", run, ec2, BlockDeviceMappings=small) == (
        f"Volume of size 5GB is smaller than snapshot '{data_set}', expect size >= 500GB"
    )
    refused("InvalidParameterValue", ec2.create_volume, AvailabilityZone="us-east-1a", SnapshotId=data_set, Size=5)


def test_a_snapshot_of_another_region_is_unknown(cloud, data_set):
    there = cloud.client("ec2", "us-west-2")
    refused("InvalidSnapshot.NotFound", run, there, BlockDeviceMappings=[mapping(SnapshotId=data_set)])


def test_the_root_volume_is_made_where_only_data_is_mapped(ec2, data_set):
    mappings = [mapping(SnapshotId=data_set, DeleteOnTermination=True)]
    instance = look(ec2, run(ec2, BlockDeviceMappings=mappings)[0]["InstanceId"])
    assert {m["DeviceName"] for m in instance["BlockDeviceMappings"]} == {"/dev/sda1", "/dev/sdf"}
    assert sorted((v["Size"], v["Encrypted"]) for v in ec2.describe_volumes()["Volumes"]) == [(8, False), (500, True)]


def test_a_root_without_a_size_has_its_images(ec2):
    run(ec2, BlockDeviceMappings=[mapping("/dev/sda1", Encrypted=True, VolumeType="gp3")])
    assert [(v["Size"], v["Encrypted"]) for v in ec2.describe_volumes()["Volumes"]] == [(8, True)]


FAST = {"VolumeType": "gp3", "VolumeSize": 100}


@pytest.mark.parametrize(
    ("code", "volume"),
    [
        ("InvalidParameterValue", {**FAST, "Iops": 2999}),
        ("InvalidParameterValue", {**FAST, "Iops": 80001}),
        ("InvalidParameterValue", {**FAST, "Iops": 50001}),
        ("InvalidParameterValue", {**FAST, "Throughput": 124}),
        ("InvalidParameterValue", {**FAST, "Throughput": 751}),
        ("InvalidParameterValue", {**FAST, "Iops": 8000, "Throughput": 2001}),
        ("InvalidParameterCombination", {"VolumeType": "gp2", "VolumeSize": 100, "Iops": 3000}),
        ("InvalidParameterCombination", {"VolumeType": "io2", "VolumeSize": 100, "Iops": 3000, "Throughput": 125}),
        ("MissingParameter", {"VolumeType": "io2", "VolumeSize": 100}),
        ("InvalidParameterValue", {"VolumeType": "st1", "VolumeSize": 100}),
        ("InvalidParameterValue", {"VolumeType": "gp3", "VolumeSize": 65537}),
        ("InvalidParameterCombination", {**FAST, "VolumeInitializationRate": 100}),
    ],
)
def test_a_volume_outside_its_types_limits_is_refused(ec2, code, volume):
    refused(code, run, ec2, BlockDeviceMappings=[mapping(**volume)])
    assert every_instance(ec2) == []


def test_a_volume_within_its_types_limits_has_the_speed_that_was_asked_for(ec2):
    run(ec2, BlockDeviceMappings=[mapping(**FAST, Iops=8000, Throughput=2000)])
    data = next(v for v in ec2.describe_volumes()["Volumes"] if v["Size"] == 100)
    assert (data["Iops"], data["Throughput"]) == (8000, 2000)


@pytest.mark.parametrize("rate", [99, 301])
def test_an_initialization_rate_outside_its_limits_is_refused(ec2, data_set, rate):
    mappings = [mapping(SnapshotId=data_set, VolumeInitializationRate=rate)]
    refused("InvalidParameterValue", run, ec2, BlockDeviceMappings=mappings)


def test_an_initialization_rate_comes_with_a_snapshot(ec2, data_set):
    assert run(ec2, BlockDeviceMappings=[mapping(SnapshotId=data_set, VolumeInitializationRate=300)])


@pytest.mark.parametrize(
    ("code", "tags"),
    [
        ("InvalidParameterValue", {"aws:mine": "x"}),
        ("InvalidParameterValue", {"k" * 129: "x"}),
        ("InvalidParameterValue", {"k": "x" * 257}),
        ("TagLimitExceeded", {f"k{n}": "x" for n in range(51)}),
    ],
)
def test_tags_that_aws_does_not_take_are_refused_at_creation_and_later(ec2, code, tags):
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    refused(code, run, ec2, TagSpecifications=[{"ResourceType": "instance", "Tags": listed}])
    assert every_instance(ec2) == []
    refused(code, ec2.create_tags, Resources=[run(ec2)[0]["InstanceId"]], Tags=listed)


def test_fifty_tags_of_full_length_are_taken(ec2):
    tags = [{"Key": f"{n:03}".ljust(128, "k"), "Value": "v" * 256} for n in range(50)]
    instance = run(ec2, TagSpecifications=[{"ResourceType": "instance", "Tags": tags}])[0]
    assert len(instance["Tags"]) == 50


def test_a_dry_run_says_that_it_would_have_worked_or_why_not(ec2):
    refused("DryRunOperation", run, ec2, DryRun=True, status=412)
    refused("InvalidKeyPair.NotFound", run, ec2, DryRun=True, KeyName="nobody")
    assert every_instance(ec2) == []


@pytest.fixture
def instance(ec2):
    return look(ec2, run(ec2)[0]["InstanceId"])


def volume_in(ec2, zone):
    return ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]


def attach(ec2, volume, instance, device="/dev/sdf"):
    return ec2.attach_volume(VolumeId=volume, InstanceId=instance["InstanceId"], Device=device)


def test_a_volume_is_attached_in_its_own_zone_once_and_where_none_is(ec2, instance):
    zone = instance["Placement"]["AvailabilityZone"]
    volume = volume_in(ec2, zone)
    assert attach(ec2, volume, instance)["State"] in ("attaching", "attached")
    refused("VolumeInUse", attach, ec2, volume, instance, "/dev/sdg")
    message = refused("InvalidParameterValue", attach, ec2, volume_in(ec2, zone), instance)
    assert message == "Invalid value '/dev/sdf' for unixDevice. Attachment point /dev/sdf is already in use"
    refused("InvalidVolume.ZoneMismatch", attach, ec2, volume_in(ec2, "us-east-1f"), instance, "/dev/sdg")


def test_a_volume_is_not_attached_to_what_is_pending_or_dead(cloud, ec2, instance):
    volume = volume_in(ec2, instance["Placement"]["AvailabilityZone"])
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    refused("IncorrectState", attach, ec2, volume, instance)
    cloud.scenario(pending=60)
    refused("IncorrectState", attach, ec2, volume, run(ec2)[0])


def test_a_volume_or_instance_that_is_unknown_is_refused(ec2, instance):
    refused("InvalidVolume.NotFound", attach, ec2, "vol-0123456789abcdef0", instance)
    unknown = {"InstanceId": "i-0123456789abcdef0"}
    refused("InvalidInstanceID.NotFound", attach, ec2, volume_in(ec2, "us-east-1a"), unknown)
    assert state(ec2, instance["InstanceId"]) == "running"


def test_an_image_may_be_named_by_its_id(ec2, instance):
    assert run(ec2, ImageId=instance["ImageId"])


def test_what_moto_refuses_half_way_leaves_nothing_behind(ec2):
    template = {"LaunchTemplateId": "lt-0123456789abcdef0", "Version": "1"}
    interfaces = [{"DeviceIndex": 0}, {"DeviceIndex": 1, "NetworkInterfaceId": "eni-0123456789abcdef0"}]
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "k", "Value": "v"}]}]
    before = len(ec2.describe_tags()["Tags"])
    refused("UnsupportedOperation", run, ec2, TagSpecifications=tags, LaunchTemplate=template)
    refused("InvalidNetworkInterfaceID.NotFound", run, ec2, TagSpecifications=tags, NetworkInterfaces=interfaces)
    assert_nothing_is_there(ec2)
    assert len(ec2.describe_tags()["Tags"]) == before
    assert run(ec2)


def test_a_dry_run_knows_its_subnet(ec2):
    refused("InvalidSubnetID.NotFound", run, ec2, DryRun=True, SubnetId="subnet-0123456789abcdef0")


def test_each_kind_is_tagged_once_and_by_the_call_that_makes_it(ec2):
    def of(*kinds):
        return [{"ResourceType": kind, "Tags": [{"Key": "k", "Value": "v"}]} for kind in kinds]

    message = refused("InvalidParameterValue", run, ec2, TagSpecifications=of("snapshot"))
    assert message == "'snapshot' is not a valid taggable resource type for this operation."
    refused("InvalidParameterValue", run, ec2, TagSpecifications=of("volume", "volume"))
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, TagSpecifications=of("volume"))["VolumeId"]
    refused("InvalidParameterValue", ec2.create_snapshot, VolumeId=volume, TagSpecifications=of("volume"))
    assert ec2.create_snapshot(VolumeId=volume, TagSpecifications=of("snapshot"))["Tags"]


def test_more_than_fifty_tags_in_all_are_refused(ec2):
    identity = run(ec2)[0]["InstanceId"]
    ec2.create_tags(Resources=[identity], Tags=[{"Key": f"a{n}", "Value": ""} for n in range(50)])
    refused("TagLimitExceeded", ec2.create_tags, Resources=[identity], Tags=[{"Key": "b", "Value": ""}])


def test_a_group_that_an_interface_is_in_or_a_rule_names_is_not_deleted(ec2):
    group, named = (ec2.create_security_group(GroupName=name, Description="x")["GroupId"] for name in ("a", "b"))
    instance = run(ec2, SecurityGroupIds=[group])[0]["InstanceId"]
    pair = [{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "UserIdGroupPairs": [{"GroupId": named}]}]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=pair)
    for one in (group, named):
        message = refused("DependencyViolation", ec2.delete_security_group, GroupId=one)
        assert message == f"resource {one} has a dependent object"
    ec2.terminate_instances(InstanceIds=[instance])
    for one in (group, named):
        ec2.delete_security_group(GroupId=one)


def test_a_snapshot_that_an_image_has_and_a_volume_in_use_are_not_deleted(ec2, instance):
    volume = volume_in(ec2, instance["Placement"]["AvailabilityZone"])
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    disk = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot}}
    image = ec2.register_image(Name="mine", BlockDeviceMappings=[disk], RootDeviceName="/dev/sda1")["ImageId"]
    (found,) = ec2.describe_images(Owners=["self"])["Images"]
    assert (found["ImageId"], found["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]) == (image, snapshot)
    assert image in refused("InvalidSnapshot.InUse", ec2.delete_snapshot, SnapshotId=snapshot)
    attach(ec2, volume, instance)
    refused("VolumeInUse", ec2.delete_volume, VolumeId=volume)
    ec2.deregister_image(ImageId=image)
    ec2.delete_snapshot(SnapshotId=snapshot)


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x0c", "\ufffe"])
def test_a_tag_that_no_response_could_hold_is_refused(ec2, character):
    instance = run(ec2)[0]["InstanceId"]
    tags = [{"Key": "note", "Value": f"a{character}b"}]
    refused("InvalidParameterValue", ec2.create_tags, Resources=[instance], Tags=tags)
    assert look(ec2, instance).get("Tags", []) == []
