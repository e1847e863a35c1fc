"""The RunInstances request is what AWS takes: within its limits, and placed as the pool says."""

import pytest
import yaml

from ec2lab.capacity_pools import ON_DEMAND, Market, Pool
from ec2lab.errors import UserError
from ec2lab.launch.part import LaunchFragment
from ec2lab.launch.run_instances_request import build_request, check_block_devices, pool_of, verify_root_device

POOL = Pool("us-east-1", "g5.xlarge", ON_DEMAND)
LIMITS = [
    ("gp3", "VolumeSize", 1, 65536), ("gp2", "VolumeSize", 1, 16384), ("io1", "VolumeSize", 4, 16384),
    ("io2", "VolumeSize", 4, 65536), ("st1", "VolumeSize", 125, 16384), ("sc1", "VolumeSize", 125, 16384),
    ("gp3", "Iops", 3000, 80000), ("io1", "Iops", 100, 64000), ("io2", "Iops", 100, 256000),
    ("gp3", "Throughput", 125, 2000),
]  # fmt: skip
"""Of https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsBlockDevice.html."""
IOPS_OF_A_GIB = [("gp3", 500, 3000), ("io1", 50, 100), ("io2", 1000, 100)]


def check(**volume):
    check_block_devices([{"DeviceName": "/dev/sdf", "Ebs": volume}])


def refusal(**volume):
    with pytest.raises(UserError) as raised:
        check(**volume)
    return str(raised.value)


@pytest.mark.parametrize(("kind", "member", "least", "most"), LIMITS)
def test_what_a_volume_type_takes_is_taken_to_its_bounds_and_not_beyond(kind, member, least, most):
    needed = {"io1": {"Iops": 100}, "io2": {"Iops": 100}}.get(kind, {})
    if member == "Throughput":
        needed = {"Iops": 80000}
    for value in (least, most):
        check(**{"VolumeType": kind, **needed, member: value})
    key = {"VolumeSize": "size_gib", "Iops": "iops", "Throughput": "throughput"}[member]
    for value in (least - 1, most + 1):
        said = refusal(**{"VolumeType": kind, **needed, member: value})
        assert said == f"volume /dev/sdf: {key} = {value}: {kind} takes {least} to {most}"


@pytest.mark.parametrize(("kind", "per_gib", "least"), IOPS_OF_A_GIB)
def test_iops_grow_with_the_size_and_every_volume_may_have_the_least(kind, per_gib, least):
    size = 20
    check(VolumeType=kind, VolumeSize=size, Iops=size * per_gib)
    assert f"{kind} gives {per_gib} for each of its {size} GiB" in refusal(
        VolumeType=kind, VolumeSize=size, Iops=size * per_gib + 1
    )
    check(VolumeType=kind, VolumeSize=4, Iops=max(least, 4 * per_gib))
    check(VolumeType=kind, Iops=64000)


def test_a_size_too_small_for_its_iops_alone_may_have_gp3s_3000():
    check(VolumeType="gp3", VolumeSize=1, Iops=3000)
    assert "gp3 gives 500 for each of its 1 GiB" in refusal(VolumeType="gp3", VolumeSize=1, Iops=3001)


def test_throughput_is_a_quarter_of_the_iops_at_the_most():
    check(VolumeType="gp3", Throughput=750)
    assert "gp3 allows 1 MiB/s for every 4 iops" in refusal(VolumeType="gp3", Throughput=751)
    check(VolumeType="gp3", Iops=4000, Throughput=1000)
    assert "throughput" in refusal(VolumeType="gp3", Iops=4000, Throughput=1001)


@pytest.mark.parametrize(("kind", "member"), [("gp2", "Iops"), ("st1", "Throughput"), ("io2", "Throughput")])
def test_what_a_type_does_not_have_cannot_be_set(kind, member):
    assert "can't be set" in refusal(**{"VolumeType": kind, member: 3000, "VolumeSize": 500})


def test_without_a_type_a_volume_is_gp3_and_without_anything_it_is_fine():
    check()
    check_block_devices([{"DeviceName": "/dev/sdf", "NoDevice": ""}, {"DeviceName": "/dev/sdg"}])
    assert "gp3 takes" in refusal(Iops=1)


def test_a_plugins_device_without_a_name_is_refused():
    with pytest.raises(UserError, match="a block device mapping without its DeviceName"):
        check_block_devices([{"DeviceName": "/dev/sdf"}, {"NoDevice": ""}])


@pytest.mark.parametrize("kind", ["io1", "io2"])
def test_provisioned_volumes_want_iops(kind):
    assert refusal(VolumeType=kind, VolumeSize=10) == f"volume /dev/sdf: {kind} requires iops (try iops = 3000)"


def test_how_many_are_asked_for_is_in_the_request():
    assert (
        {**build_request(LaunchFragment(), POOL)}["MaxCount"] == build_request(LaunchFragment(), POOL)["MinCount"] == 1
    )
    several = build_request(LaunchFragment(), POOL, most=5, least=2)
    assert (several["MinCount"], several["MaxCount"]) == (2, 5)


def test_tags_are_put_on_and_volumes_are_checked():
    tagged = build_request(LaunchFragment(tags={"a": "b"}), POOL)["TagSpecifications"]
    assert tagged == [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}]
    assert "TagSpecifications" not in build_request(LaunchFragment(), POOL)
    with pytest.raises(UserError, match="aws:"):
        build_request(LaunchFragment(tags={"aws:x": "y"}), POOL)
    bad = {"BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 0}}]}
    with pytest.raises(UserError, match="size_gib = 0"):
        build_request(LaunchFragment(request=bad), POOL)


def test_one_boot_command_that_fails_fails_the_boot_and_without_any_there_is_none():
    document = build_request(LaunchFragment(cloud_init={"runcmd": [["true"]], "packages": ["git"]}), POOL)["UserData"]
    read = yaml.safe_load(document)
    assert read["packages"] == ["git"]
    assert read["runcmd"] != [["true"]]
    assert "runcmd" not in yaml.safe_load(
        build_request(LaunchFragment(cloud_init={"packages": ["git"]}), POOL)["UserData"]
    )


@pytest.mark.parametrize("market", ["reservation:cr-1", "capacity-block:cr-1"])
def test_reserved_capacity_is_taken_where_it_was_reserved(market):
    pool = Pool("us-east-1", "p5.48xlarge", Market.parse(market))
    grouped = LaunchFragment(request={"Placement": {"GroupName": "near"}, "ImageId": "ami-1"})
    request = build_request(grouped, pool)
    assert "Placement" not in request
    assert request["ImageId"] == "ami-1"
    target = {"CapacityReservationTarget": {"CapacityReservationId": "cr-1"}}
    assert request["CapacityReservationSpecification"] == target
    zoned = build_request(grouped, Pool("us-east-1", "p5.48xlarge", Market.parse(market), "us-east-1a"))
    assert zoned["Placement"] == {"AvailabilityZone": "us-east-1a"}
    assert build_request(LaunchFragment(), pool).get("Placement") is None


@pytest.mark.parametrize("market", ["on-demand", "spot"])
def test_elsewhere_a_placement_group_stays(market):
    grouped, pool = (
        LaunchFragment(request={"Placement": {"GroupName": "near"}}),
        Pool("us-east-1", "p5.48xlarge", Market.parse(market)),
    )
    assert build_request(grouped, pool)["Placement"] == {"GroupName": "near"}


def test_an_efa_is_the_one_interface_and_has_the_subnet_and_the_groups():
    share = LaunchFragment(
        request={"SecurityGroupIds": ["sg-1"], "ImageId": "ami-1"}, efa_types=frozenset(["p5.48xlarge"])
    )
    request = build_request(share, Pool("us-east-1", "p5.48xlarge", ON_DEMAND, subnet="subnet-1"))
    assert request["NetworkInterfaces"] == [
        {"DeviceIndex": 0, "NetworkCardIndex": 0, "InterfaceType": "efa", "DeleteOnTermination": True,
         "Groups": ["sg-1"], "SubnetId": "subnet-1"}
    ]  # fmt: skip
    assert request["ImageId"] == "ami-1"
    assert not {"SecurityGroupIds", "SubnetId"} & request.keys()
    plain = build_request(share, POOL)
    assert (plain["SecurityGroupIds"], "NetworkInterfaces" in plain) == (["sg-1"], False)


def test_a_request_tells_its_pool_also_without_place_and_market():
    assert pool_of({"InstanceType": "g5.xlarge"}, "us-east-1") == POOL
    assert pool_of({"InstanceType": "g5.xlarge", "NetworkInterfaces": []}, "us-east-1") == POOL


def test_an_instance_whose_root_device_is_another_is_refused():
    request = {"BlockDeviceMappings": [{"DeviceName": "/dev/xvda"}, {"DeviceName": "/dev/sdf"}]}
    verify_root_device({"RootDeviceName": "/dev/xvda"}, request)
    verify_root_device({}, request)
    with pytest.raises(UserError, match=r"root_volume.device: is /dev/xvda, the image has /dev/sda1 \(try device"):
        verify_root_device({"RootDeviceName": "/dev/sda1"}, request)
