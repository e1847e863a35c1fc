"""Scarce capacity: which pool refuses, for how long, and in which words."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from tests.local_cloud.requests import TYPE, every_instance, look, refused, run, run_in, state

SCARCE = "InsufficientInstanceCapacity"


def zones_of(instances):
    return [instance["Placement"]["AvailabilityZone"] for instance in instances]


def test_without_a_rule_there_is_no_end_of_instances(ec2):
    assert len(run(ec2, count=20)) == 20


def test_a_request_that_names_no_zone_goes_to_the_first_that_has_capacity(cloud, ec2):
    first = zones_of(run(ec2))[0]
    cloud.scenario(capacity=[{"zone": first}])
    assert zones_of(run(ec2))[0] > first


def test_a_pinned_request_stays_in_its_zone(ec2):
    assert zones_of(run_in(ec2, "us-east-1c")) == ["us-east-1c"]


def test_a_subnet_pins_as_a_zone_does_also_on_an_interface(cloud, ec2):
    subnet = next(s for s in ec2.describe_subnets()["Subnets"] if s["AvailabilityZone"] == "us-east-1c")["SubnetId"]
    assert zones_of(run(ec2, SubnetId=subnet)) == ["us-east-1c"]
    cloud.scenario(capacity=[{"zone": "us-east-1c"}])
    assert "(us-east-1c)" in refused(SCARCE, run, ec2, SubnetId=subnet, status=500)
    interface = {"DeviceIndex": 0, "SubnetId": subnet}
    assert "(us-east-1c)" in refused(SCARCE, run, ec2, NetworkInterfaces=[interface], status=500)


def test_a_refusal_of_a_pinned_request_names_the_zones_that_would_do(cloud, ec2):
    cloud.scenario(capacity=[{"zone": "us-east-1a"}])
    offered = ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [TYPE]}]
    )["InstanceTypeOfferings"]
    others = ", ".join(sorted({offer["Location"] for offer in offered} - {"us-east-1a"}))
    assert refused(SCARCE, run_in, ec2, "us-east-1a", status=500) == (
        f"We currently do not have sufficient {TYPE} capacity in the Availability Zone you requested (us-east-1a). Our "
        f"system will be working on provisioning additional capacity. You can currently get {TYPE} capacity by not "
        f"specifying an Availability Zone in your request or choosing {others}."
    )


def test_a_refusal_of_a_whole_region_names_no_zone(cloud, ec2):
    cloud.scenario(capacity=[{"region": "us-east-1"}])
    assert refused(SCARCE, run, ec2, status=500) == (
        f"We currently do not have sufficient {TYPE} capacity in zones with support for 'gp3' volumes. "
        "Our system will be working on provisioning additional capacity."
    )
    assert every_instance(ec2) == []
    assert run(cloud.client("ec2", "us-west-2"))


def test_markets_and_types_are_pools_of_their_own(cloud, ec2):
    cloud.scenario(capacity=[{"market": "spot", "type": "g5.*"}])
    spot = {"InstanceMarketOptions": {"MarketType": "spot"}}
    refused(SCARCE, run, ec2, status=500, **spot)
    assert run(ec2)
    assert run(ec2, InstanceType="g4dn.xlarge", **spot)


def test_the_first_rule_that_matches_holds(cloud, ec2):
    cloud.scenario(capacity=[{"zone": "us-east-1c", "available": 1}, {}])
    assert zones_of(run(ec2)) == ["us-east-1c"]
    refused(SCARCE, run, ec2, status=500)


def test_available_goes_down_with_each_instance_and_up_when_it_ends_or_stops(cloud, ec2):
    before = run(ec2)
    cloud.scenario(capacity=[{"available": 2}])
    first, second = (instance["InstanceId"] for instance in run(ec2, count=2))
    refused(SCARCE, run, ec2, status=500)
    ec2.terminate_instances(InstanceIds=[before[0]["InstanceId"]])  # it was there before the rule
    refused(SCARCE, run, ec2, status=500)
    ec2.terminate_instances(InstanceIds=[first])
    assert run(ec2)
    ec2.stop_instances(InstanceIds=[second])
    assert run(ec2)


def test_a_stopped_instance_needs_capacity_to_start(cloud, ec2):
    identity = run(ec2)[0]["InstanceId"]
    state(ec2, identity)
    ec2.stop_instances(InstanceIds=[identity])
    cloud.scenario(capacity=[{"calls": 1}])
    refused(SCARCE, ec2.start_instances, InstanceIds=[identity], status=500)
    assert state(ec2, identity) == "stopped"
    ec2.start_instances(InstanceIds=[identity])
    assert state(ec2, identity) == "running"


def test_as_many_are_started_as_one_zone_has_between_least_and_most(cloud, ec2):
    cloud.scenario(capacity=[{"zone": "us-east-1a", "available": 1}, {"zone": "us-east-1b", "available": 3}, {}])
    assert zones_of(run(ec2, count=5, least=2)) == ["us-east-1b"] * 3
    refused(SCARCE, run, ec2, count=5, least=2, status=500)
    assert zones_of(run(ec2, count=5, least=1)) == ["us-east-1a"]


def test_without_rules_the_most_is_started(ec2):
    assert len(run(ec2, count=4, least=1)) == 4


def test_a_rule_for_some_calls_is_charged_once_a_request_and_is_then_over(cloud, ec2):
    cloud.scenario(capacity=[{"calls": 2}])
    refused(SCARCE, run, ec2, status=500)
    refused(SCARCE, run, ec2, status=500)
    assert run(ec2)


@pytest.mark.parametrize(("code", "status"), [("VcpuLimitExceeded", 400), ("Unsupported", 400), ("Unavailable", 503)])
def test_a_rule_may_refuse_with_any_code(cloud, ec2, code, status):
    cloud.scenario(capacity=[{"code": code}])
    refused(code, run, ec2, status=status)


def test_a_quota_is_refused_in_ec2s_words(cloud, ec2):
    cloud.scenario(capacity=[{"code": "VcpuLimitExceeded"}])
    assert refused("VcpuLimitExceeded", run, ec2).startswith("You have requested more vCPU capacity than your current")


def test_a_rule_may_bring_its_own_message(cloud, ec2):
    cloud.scenario(capacity=[{"message": "not today"}])
    assert refused(SCARCE, run, ec2, status=500) == "not today"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (SCARCE, f"Server.{SCARCE}"),
        ("Client.VolumeLimitExceeded", "Client.VolumeLimitExceeded"),
        ("Client.InvalidSnapshot.NotFound", "Client.InvalidSnapshot.NotFound"),
    ],
)
def test_a_late_refusal_kills_the_instance_and_its_volumes_while_it_is_pending(cloud, ec2, code, reason):
    cloud.scenario(capacity=[{"late": True, "code": code, "calls": 1}])
    instance = run(ec2)[0]
    assert instance["State"]["Name"] == "pending"
    dead = look(ec2, instance["InstanceId"])
    assert dead["State"]["Name"] == "terminated"
    assert dead["StateReason"]["Code"] == reason
    assert ec2.describe_volumes()["Volumes"] == []
    assert state(ec2, run(ec2)[0]["InstanceId"]) == "running"


def test_many_at_once_get_no_more_than_there_is(cloud, ec2):
    cloud.scenario(capacity=[{"available": 3}])

    def one(_):
        try:
            return run(ec2)[0]["InstanceId"]
        except ClientError as refusal:
            return refusal.response["Error"]["Code"]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(one, range(8)))
    assert answers.count(SCARCE) == 5
    assert {instance["InstanceId"] for instance in every_instance(ec2)} == set(answers) - {SCARCE}


def test_many_at_once_are_as_many_instances(ec2):
    with ThreadPoolExecutor(8) as threads:
        made = [instances[0]["InstanceId"] for instances in threads.map(lambda _: run(ec2), range(16))]
    assert len(set(made)) == 16
    assert {instance["InstanceId"] for instance in every_instance(ec2)} == set(made)
