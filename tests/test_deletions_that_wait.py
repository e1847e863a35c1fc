"""Deletions that AWS takes only when something else is gone: what that is, is said, in AWS's words and by its id."""

import json
import re

import pytest

from ec2lab.config.lab_files import load_lab
from ec2lab.context import working_on
from ec2lab.errors import UserError
from ec2lab.events.teardown import DeletionPending
from ec2lab.instances import deletion as removal
from ec2lab.instances.deletion import delete_experiment
from ec2lab.session import Session
from tests.live_resources import living_in
from tests.waiting import in_quick_motion

REGION = "us-east-1"


@pytest.fixture
def ec2(cloud):
    """Somebody else's hands."""
    return cloud.client("ec2", REGION)


@pytest.fixture
def session(lab, in_cloud_time):
    made = Session(lab.path, load_lab(lab.path), "extra")
    with working_on("demo"):
        yield made
    made.close()


def stranger_in(ec2, group):
    """Put somebody else's network interface into a group; return its id."""
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    return ec2.create_network_interface(SubnetId=subnet, Groups=[group])["NetworkInterface"]["NetworkInterfaceId"]


def test_what_holds_a_group_a_volume_and_a_snapshot_is_named_and_at_the_end_aws_is_quoted(session, ec2, monkeypatch):
    monkeypatch.setattr(removal, "PATIENCE", 30)
    own = session.cloud.ec2(REGION)
    group = own.create_security_group(GroupName="extra", Description="x")["GroupId"]
    interface = stranger_in(ec2, group)
    instance = ec2.run_instances(ImageId=ec2.describe_images()["Images"][0]["ImageId"], InstanceType="g5.xlarge",
                                MinCount=1, MaxCount=1)["Instances"][0]  # fmt: skip
    volume = own.create_volume(AvailabilityZone=instance["Placement"]["AvailabilityZone"], Size=1)["VolumeId"]
    snapshot = own.create_snapshot(VolumeId=volume)["SnapshotId"]
    ec2.attach_volume(VolumeId=volume, InstanceId=instance["InstanceId"], Device="/dev/sdf")
    disk = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot}}
    image = ec2.register_image(Name="mine", BlockDeviceMappings=[disk], RootDeviceName="/dev/sda1")["ImageId"]
    events = []
    with pytest.raises(UserError) as ended:
        delete_experiment(session, "demo", events.append)
    told = {event.id: event.reason for event in events if isinstance(event, DeletionPending)}
    assert told == {
        group: f"DeleteSecurityGroup: DependencyViolation: resource {group} has a dependent object; "
               f"held by network interface {interface}",
        volume: f"it is in-use; held by instance {instance['InstanceId']} (attached as /dev/sdf)",
        snapshot: f"DeleteSnapshot: InvalidSnapshot.InUse: The snapshot {snapshot} is currently in use by {image}; "
                  f"held by image {image}",
    }  # fmt: skip
    for identity, why in told.items():
        assert re.search(rf"{identity} \({REGION}\): {re.escape(why)}", str(ended.value))
    assert "still there after" in str(ended.value)
    ec2.delete_network_interface(NetworkInterfaceId=interface)
    ec2.detach_volume(VolumeId=volume, InstanceId=instance["InstanceId"], Device="/dev/sdf")
    ec2.deregister_image(ImageId=image)
    delete_experiment(session, "demo", lambda _: None)
    assert session.records.state("demo").live == []


def test_a_teardown_says_what_it_waits_for_and_ends_when_that_is_gone(lab, cloud, ec2):
    lab.write(
        "extra.py",
        "from ec2lab.session import locked_session\n"
        "with locked_session('demo', 'extra') as session:\n"
        f"    made = session.cloud.ec2('{REGION}').create_security_group(GroupName='extra', Description='x')\n"
        "    print(made['GroupId'])\n",
    )
    group = lab.run_file("extra.py").out.strip()
    interface = stranger_in(ec2, group)
    teardown = lab.start("teardown", EXP="demo", JSON="1")
    with in_quick_motion(cloud):
        events = map(json.loads, teardown.stdout)
        awaited = next(event for event in events if event["event"] == "deletion-pending")
        ec2.delete_network_interface(NetworkInterfaceId=interface)
        assert [event["event"] for event in events][-1] == "teardown-complete"
    assert teardown.wait() == 0
    assert (awaited["id"], awaited["resource_type"]) == (group, "security-group")
    assert interface in awaited["reason"]


def test_of_several_experiments_those_go_that_can_be_seen_and_the_other_is_named(lab, cloud):
    for name, region in (("foo-1", "us-east-1"), ("foo-2", "us-west-2")):
        lab.write(f"experiments/{name}.toml", f'instance_types = ["g5.xlarge"]\nregions = ["{region}"]\n')
        assert lab.launch(name).code == 0
    cloud.scenario(faults=[{"region": "us-east-1", "action": "Describe*", "code": "UnauthorizedOperation"}])
    ended = lab.teardown("foo-*", YES="1")
    assert ended.code == 1
    assert [event["experiment"] for event in ended.events if event["event"] == "teardown-complete"] == ["foo-2"]
    (failed,) = [event for event in ended.events if event["event"] == "teardown-failed"]
    assert re.search(
        r"us-east-1: not seen: DescribeInstances: Unauth.*; may be there yet: instance i-", failed["reason"]
    )
    assert living_in(cloud, "us-west-2", "instance") == []
    cloud.scenario()
    assert lab.teardown("foo-1").code == 0, "it was not taken for gone"
    assert living_in(cloud, "us-east-1", "instance") == []


def test_an_instance_is_deleted_though_another_of_its_experiment_is_in_a_region_that_can_not_be_seen(lab, cloud):
    lab.write("experiments/demo.toml", 'instance_types = ["g5.xlarge"]\n')
    cloud.scenario(capacity=[{"region": "us-east-1", "available": 1}])
    assert lab.launch(COUNT="2").code == 0
    assert [len(living_in(cloud, region, "instance")) for region in ("us-east-1", "us-west-2")] == [1, 1]
    cloud.scenario(faults=[{"region": "us-east-1", "action": "DescribeInstances", "kind": "torn"}])
    ended = lab.teardown()
    assert ended.code == 1
    assert re.search(
        r"demo: us-east-1: not seen: .*; may be there yet: instance i-\w+; run the command again", ended.error
    )
    cloud.scenario()
    assert [len(living_in(cloud, region, "instance")) for region in ("us-east-1", "us-west-2")] == [1, 0]
    assert lab.teardown().code == 0
    assert living_in(cloud, "us-east-1", "instance") == []


def test_a_region_in_which_nothing_of_it_is_known_is_named_and_keeps_nothing(lab, cloud):
    lab.write("experiments/demo.toml", 'instance_types = ["g5.xlarge"]\n')
    cloud.scenario(capacity=[{"region": "us-east-1"}])
    assert lab.launch().code == 0
    cloud.scenario(faults=[{"region": "us-east-1", "action": "Describe*", "code": "AuthFailure"}])
    ended = lab.teardown()
    assert ended.code == 3
    assert [(event["event"], event.get("regions")) for event in ended.events][-2:] == [
        ("teardown-complete", None),
        ("regions-unavailable", ["us-east-1"]),
    ]


@pytest.mark.parametrize("kept", ["us-east-1", "us-west-2"])
def test_volumes_to_be_kept_hold_up_no_deletion_for_a_region_that_can_not_be_seen_and_are_kept_there(lab, cloud, kept):
    """Each region's volumes are kept before anything of it is deleted; what can't be seen is not deleted."""
    scratch = (
        '[[scratch]]\nsize_gib = 10\nmount = "/s"\ndeletion_policy = "retain"\nretain_for = "30d"\n'
        'reason = "the paper"\n'
    )
    lab.write("experiments/demo.toml", f'instance_types = ["g5.xlarge"]\n{scratch}')
    cloud.scenario(capacity=[{"region": "us-east-1", "available": 1}])
    assert lab.launch(COUNT="2").code == 0
    (seen,) = {"us-east-1", "us-west-2"} - {kept}
    cloud.scenario(faults=[{"region": kept, "action": "DescribeVolumes", "code": "UnauthorizedOperation"}])
    ended = lab.teardown()
    assert ended.code == 1
    assert f"demo: {kept}: not seen: DescribeVolumes: Unauth" in ended.error
    assert [living_in(cloud, region, "instance") != [] for region in (kept, seen)] == [True, False]
    assert len([volume for volume in living_in(cloud, seen, "volume") if volume["Size"] == 10]) == 1
    cloud.scenario()
    assert lab.teardown().code == 0
    assert len([volume for volume in living_in(cloud, kept, "volume") if volume["Size"] == 10]) == 1
