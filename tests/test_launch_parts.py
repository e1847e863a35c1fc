"""A launch is a sum of parts, and the sum is what AWS takes."""

from dataclasses import replace

import pytest

from ec2lab.aws.errors import RegionUnavailable
from ec2lab.capacity_pools import ON_DEMAND, SPOT, Market, Pool
from ec2lab.config.volume import Data, Scratch
from ec2lab.datasets.dataset import DataSnapshot, chosen
from ec2lab.errors import UserError
from ec2lab.launch.part import LaunchFragment, Prerequisite, total
from ec2lab.launch.parts.network import difference
from ec2lab.launch.parts.volumes import mapping, on_instance
from ec2lab.launch.run_instances_request import build_request, check_block_devices

POOL = Pool("us-east-1", "g5.xlarge", ON_DEMAND)


def test_dictionaries_are_merged_and_lists_are_joined_in_order():
    shares = [
        LaunchFragment(request={"Ebs": {"A": 1}, "Mappings": [1]}, cloud_init={"runcmd": [["a"]]}, tags={"x": "1"}),
        LaunchFragment(request={"Ebs": {"B": 2}, "Mappings": [1]}, cloud_init={"runcmd": [["b"]]}, tags={"y": "2"}),
    ]
    assert total(shares) == LaunchFragment(
        request={"Ebs": {"A": 1, "B": 2}, "Mappings": [1, 1]},
        cloud_init={"runcmd": [["a"], ["b"]]},
        tags={"x": "1", "y": "2"},
    )


def test_two_parts_that_set_one_key_differently_are_an_error_that_names_it():
    with pytest.raises(UserError, match=r"RunInstances\.Placement\.Tenancy is set twice"):
        total([LaunchFragment(request={"Placement": {"Tenancy": t}}) for t in ("host", "default")])


def test_what_a_region_lacks_is_made_only_when_the_share_is_prepared():
    made = []
    preparation = Prerequisite(
        "a group", lambda: made.append(1) or LaunchFragment(request={"SecurityGroupIds": ["sg-1"]})
    )
    share = total([LaunchFragment(request={"ImageId": "ami-1"}), LaunchFragment(prerequisites=(preparation,))])
    assert not made
    assert share.prepared().request == {"ImageId": "ami-1", "SecurityGroupIds": ["sg-1"]}
    assert made == [1]


@pytest.mark.parametrize(
    ("pool", "added"),
    [
        (Pool("us-east-1", "g5.xlarge", ON_DEMAND), {}),
        (Pool("us-east-1", "g5.xlarge", ON_DEMAND, "us-east-1a"), {"Placement": {"AvailabilityZone": "us-east-1a"}}),
        (Pool("us-east-1", "g5.xlarge", ON_DEMAND, subnet="subnet-1"), {"SubnetId": "subnet-1"}),
        (
            Pool("us-east-1", "g5.xlarge", SPOT),
            {
                "InstanceMarketOptions": {
                    "MarketType": "spot",
                    "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
                }
            },
        ),
        (
            Pool("us-east-1", "p5.48xlarge", Market.parse("capacity-block:cr-0123")),
            {
                "InstanceMarketOptions": {"MarketType": "capacity-block"},
                "CapacityReservationSpecification": {"CapacityReservationTarget": {"CapacityReservationId": "cr-0123"}},
            },
        ),
    ],
)
def test_a_pool_adds_its_place_and_its_market_to_the_request(pool, added):
    base = {"InstanceType": pool.instance_type, "MinCount": 1, "MaxCount": 1, "UserData": b"#cloud-config\n"}
    assert build_request(LaunchFragment(), pool) == base | added


@pytest.mark.parametrize(
    ("volume", "said"),
    [
        ({"VolumeType": "gp3", "Throughput": 3000}, "throughput = 3000: gp3 takes 125 to 2000"),
        ({"VolumeType": "st1", "Iops": 500}, "iops can't be set for st1"),
        ({"VolumeType": "io2"}, "io2 requires iops"),
        ({"VolumeType": "gp3", "VolumeSize": 4, "Iops": 4000}, "gp3 gives 500 for each of its 4 GiB"),
        ({"VolumeType": "st1", "VolumeSize": 100}, "size_gib = 100: st1 takes 125 to 16384"),
    ],
)
def test_a_volume_that_aws_would_refuse_is_refused_before_the_call(volume, said):
    with pytest.raises(UserError, match=said):
        check_block_devices([{"DeviceName": "/dev/sdf", "Ebs": volume}])


def test_a_device_that_is_already_the_roots_is_refused_before_the_call():
    with pytest.raises(UserError, match="used twice"):
        check_block_devices([{"DeviceName": "/dev/sda1", "Ebs": {}}, {"DeviceName": "/dev/sda1", "Ebs": {}}])


def snapshot(identity, version, state="completed", day=1, **more):
    tags = [{"Key": "lab:dataset", "Value": "speech"}, {"Key": "lab:version", "Value": version}]
    found = {
        "SnapshotId": identity,
        "State": state,
        "StartTime": f"2026-01-{day:02}T00:00:00+00:00",
        "Tags": tags,
        "VolumeSize": 500,
    }
    return DataSnapshot.of({**found, "Encrypted": True, **more}, "us-east-1")


def wanted(**more):
    return Data(dataset="speech", mount="/data", **more)


def test_the_newest_completed_version_is_the_default_and_an_experiment_can_pin_another():
    there = [snapshot("s1", "1", day=1), snapshot("s3", "3", "pending", 3), snapshot("s2", "2", day=2)]
    assert chosen("speech", None, there, "us-east-1", ()).id == "s2"
    assert chosen("speech", "1", there, "us-east-1", ()).id == "s1"


def test_versions_are_ordered_by_awss_own_time_and_a_copy_is_as_old_as_what_it_was_copied_from():
    ahead = {"Key": "lab:created-at", "Value": "2999-01-01T00:00:00Z"}
    forged = snapshot("s1", "1", day=1)
    forged = replace(forged, tags={**forged.tags, ahead["Key"]: ahead["Value"]})
    newer = snapshot("s2", "2", day=2)
    assert chosen("speech", None, [forged, newer], "us-east-1", ()) is newer
    copied = snapshot("s3", "1", day=9)
    copied = replace(copied, tags={**copied.tags, "lab:created-at": "2026-01-01T00:00:00Z"})
    assert chosen("speech", None, [copied, newer], "us-east-1", ()) is newer
    again = snapshot("s4", "1", day=8)
    assert chosen("speech", None, [forged, newer, again], "us-east-1", ()) is newer, (
        "another snapshot of an old version"
    )
    garbled = replace(newer, tags={**newer.tags, "lab:created-at": "yesterday"})
    assert chosen("speech", None, [forged, garbled], "us-east-1", ()) is garbled


@pytest.mark.parametrize(
    ("there", "version", "said"),
    [
        ([], None, "speech is not in us-east-1"),
        ([snapshot("s1", "1")], "2", r"has no version 2 in us-east-1, only 1 \(`make snapshot-copy"),
        ([snapshot("s1", "1", "pending", Progress="40%")], None, r"not complete yet in us-east-1 \(s1 40%\)"),
    ],
)
def test_a_region_without_the_data_says_what_it_lacks(there, version, said):
    with pytest.raises(RegionUnavailable, match=said):
        chosen("speech", version, there, "us-east-1", ())


def test_a_volume_of_a_plain_snapshot_is_encrypted_and_that_of_an_encrypted_one_is_left_alone():
    assert mapping(wanted(), "/dev/sdf", snapshot("s1", "1", Encrypted=False))["Ebs"]["Encrypted"] is True
    assert "Encrypted" not in mapping(wanted(), "/dev/sdf", snapshot("s1", "1"))["Ebs"]


@pytest.mark.parametrize(("deletion_policy", "goes"), [("delete", True), ("snapshot", False), ("retain", False)])
def test_a_volume_goes_with_its_instance_unless_it_is_to_be_snapshotted_or_kept(deletion_policy, goes):
    why = {"retain_for": "30d", "reason": "for a test"} if deletion_policy == "retain" else {}
    volume = wanted(deletion_policy=deletion_policy, **why)
    assert mapping(volume, "/dev/sdf", snapshot("s1", "1"))["Ebs"]["DeleteOnTermination"] is goes


def test_a_scratch_volume_is_made_empty_encrypted_and_is_formatted_on_the_instance():
    scratch = Scratch(mount="/scratch", size_gib=100, filesystem="xfs", owner=":docker", mode="2775")
    assert mapping(scratch, "/dev/sdg", None)["Ebs"] == {
        "VolumeType": "gp3", "DeleteOnTermination": True, "Encrypted": True, "VolumeSize": 100
    }  # fmt: skip
    assert on_instance(scratch, "/dev/sdg", None).as_dict() == {
        "source": "ebs", "device": "/dev/sdg", "mount": "/scratch", "format": "xfs", "owner": ":docker", "mode": "2775"
    }  # fmt: skip


def test_my_new_address_takes_the_place_of_my_old_one_and_of_nobody_elses():
    present = {"1.1.1.1/32": "ec2-lab: me@here", "2.2.2.2/32": "ec2-lab: you@there"}
    wanted_rules = {"3.3.3.3/32": "ec2-lab: me@here"}
    missing, surplus = difference(present, wanted_rules, only_mine=True)
    assert missing == wanted_rules
    assert set(surplus) == {"1.1.1.1/32"}


def test_a_list_of_networks_is_brought_to_exactly_that():
    missing, surplus = difference({"1.1.1.1/32": "x", "10.0.0.0/8": "y"}, {"10.0.0.0/8": "z"}, only_mine=False)
    assert missing == {}
    assert set(surplus) == {"1.1.1.1/32"}
