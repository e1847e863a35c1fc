"""What the account itself limits: its regions, its networks, its quotas, what it has reserved, and its defaults."""

import pytest
from botocore.exceptions import ClientError

from tests.local_cloud.requests import refused, run, run_in

SHUT = "ap-east-1"
NO_SUBNET = "us-west-2d"


def test_a_region_that_is_not_opted_in_refuses_every_service_in_its_own_words(cloud):
    ec2, sts, ssm = (cloud.client(service, SHUT) for service in ("ec2", "sts", "ssm"))
    assert refused("AuthFailure", ec2.describe_instances, status=401)
    assert refused("InvalidClientTokenId", sts.get_caller_identity, status=403)
    assert refused("UnrecognizedClientException", ssm.get_parameters, Names=["/x"])
    assert cloud.client("iam", "us-east-1").list_roles()["Roles"] == []


def test_describe_regions_tells_which_are_open(cloud, ec2):
    cloud.scenario(not_opted_in=[SHUT])
    every = {r["RegionName"]: r["OptInStatus"] for r in ec2.describe_regions(AllRegions=True)["Regions"]}
    assert every.pop(SHUT) == "not-opted-in"
    assert (every["eu-south-1"], every["eu-west-1"]) == ("opted-in", "opt-in-not-required")
    assert {r["RegionName"] for r in ec2.describe_regions()["Regions"]} == every.keys()
    assert cloud.client("ec2", "eu-south-1").describe_instances()["Reservations"] == []


def test_a_new_account_may_use_the_seventeen_regions_that_need_no_opting_in(ec2):
    assert {r["OptInStatus"] for r in ec2.describe_regions()["Regions"]} == {"opt-in-not-required"}
    assert len(ec2.describe_regions()["Regions"]) == 17


@pytest.mark.parametrize(("more", "code"), [({}, "InvalidInput"),
                         ({"InstanceMarketOptions": {"MarketType": "spot"}}, "InvalidSubnetID.NotFound")])  # fmt: skip
def test_a_zone_without_a_default_subnet_takes_no_instance_that_names_none(cloud, more, code):
    west = cloud.client("ec2", "us-west-2")
    default = west.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    assert NO_SUBNET not in {subnet["AvailabilityZone"] for subnet in default}
    said = refused(code, run_in, west, NO_SUBNET, InstanceType="c6i.large", **more)
    assert said == f"No default subnet for availability zone: '{NO_SUBNET}'."
    cloud.scenario(capacity=[{"zone": f"us-west-2{letter}"} for letter in "abc"])
    refused("InsufficientInstanceCapacity", run, west, InstanceType="c6i.large", status=500, **more)


def test_a_default_vpc_without_subnets_takes_none_at_all(ec2):
    for subnet in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    assert refused("MissingInput", run, ec2).startswith("No subnets found for the default VPC 'vpc-")


def test_a_quota_holds_for_what_counts_against_its_name_and_frees_with_what_ends(cloud, ec2):
    cloud.scenario(quotas={"Running On-Demand G and VT instances": 11})
    (first,) = run(ec2)
    assert len(run(ec2, count=3, least=1)) == 1, "4 vCPUs each: as many as there is room for"
    assert "current vCPU limit of 11" in refused("VcpuLimitExceeded", run, ec2, InstanceType="g4dn.xlarge")
    assert run(ec2, InstanceType="c6i.large"), "another quota"
    assert run(ec2, InstanceMarketOptions={"MarketType": "spot"}), "another market"
    ec2.terminate_instances(InstanceIds=[first["InstanceId"]])
    assert run(ec2, InstanceType="g4dn.xlarge")


def test_one_spot_quota_is_not_another(ec2):
    spot = {"InstanceMarketOptions": {"MarketType": "spot"}}
    refused("MaxSpotInstanceCountExceeded", run, ec2, InstanceType="p5.48xlarge", **spot)
    assert run(ec2, InstanceType="p4d.24xlarge", **spot)


RESERVED = {"id": "cr-0123", "region": "us-east-1", "zone": "us-east-1c", "type": "g5.xlarge", "total": 2}


def into(reservation, **more):
    target = {"CapacityReservationTarget": {"CapacityReservationId": reservation}}
    return {"CapacityReservationSpecification": target, **more}


def test_a_reservation_takes_its_own_type_in_its_own_zone_and_no_more_than_it_has(cloud, ec2):
    cloud.scenario(reservations=[RESERVED], capacity=[{}])
    refused("InvalidCapacityReservationId.NotFound", run, ec2, **into("cr-9999"))
    refused("InvalidParameterValue", run, ec2, **into("cr-0123", InstanceType="g4dn.xlarge"))
    refused("InvalidParameterValue", run_in, ec2, "us-east-1a", **into("cr-0123"))
    block = {"InstanceMarketOptions": {"MarketType": "capacity-block"}}
    refused("InvalidParameterCombination", run, ec2, **into("cr-0123", **block))
    (instance,) = run(ec2, **into("cr-0123"))
    assert instance["Placement"]["AvailabilityZone"] == "us-east-1c"
    (told,) = ec2.describe_capacity_reservations(CapacityReservationIds=["cr-0123"])["CapacityReservations"]
    assert (told["State"], told["TotalInstanceCount"], told["AvailableInstanceCount"]) == ("active", 2, 1)
    refused("ReservationCapacityExceeded", run, ec2, 2, **into("cr-0123"))
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    assert len(run(ec2, 2, **into("cr-0123"))) == 2


def test_where_instances_show_their_tags_a_key_is_a_name_that_a_path_can_have(cloud, ec2):
    cloud.scenario(metadata_defaults={"InstanceMetadataTags": "enabled"})
    assert ec2.get_instance_metadata_defaults()["AccountLevel"]["InstanceMetadataTags"] == "enabled"
    bad = [{"ResourceType": "instance", "Tags": [{"Key": "team/ml", "Value": "x"}]}]
    assert refused("InvalidParameterValue", run, ec2, TagSpecifications=bad).startswith("'team/ml' is not a valid tag")
    assert run(ec2, TagSpecifications=bad, MetadataOptions={"InstanceMetadataTags": "disabled"})
    (instance,) = run(ec2, TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "lab:x", "Value": "x"}]}])
    with pytest.raises(ClientError, match="'a b' is not a valid tag key"):
        ec2.create_tags(Resources=[instance["InstanceId"]], Tags=[{"Key": "a b", "Value": ""}])
