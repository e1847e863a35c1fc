"""EC2's request buckets: so many at once, so many a second after that, for each operation in each region."""

import pytest

from local_cloud import clock as cloud_clock
from local_cloud.scenario import Bucket
from local_cloud.throttle import Throttle
from tests.local_cloud.requests import every_instance, refused, run
from tests.local_cloud.test_control import ask


@pytest.fixture
def clock(mocker):
    """Time, which passes where the test says so."""
    return mocker.patch.object(cloud_clock, "monotonic", return_value=100.0)


@pytest.fixture
def throttle(clock):
    """Buckets like EC2's own for RunInstances."""
    return Throttle({"RunInstances": Bucket(size=5, refill=2)})


def taken(throttle, tries=20):
    return sum(throttle.takes("RunInstances", "us-east-1") for _ in range(tries))


def test_as_many_as_it_holds_are_taken_at_once_and_then_as_many_as_it_refills(throttle, clock):
    assert taken(throttle) == 5
    clock.return_value += 0.4
    assert taken(throttle) == 0, "not a whole one yet"
    clock.return_value += 0.1
    assert taken(throttle) == 1
    clock.return_value += 1
    assert taken(throttle) == 2


def test_it_never_holds_more_than_its_size(throttle, clock):
    assert taken(throttle) == 5
    clock.return_value += 3600
    assert taken(throttle) == 5


def test_a_hundred_take_what_aws_allows(throttle, clock):
    sent = 0
    while sent < 100:
        sent += taken(throttle)
        clock.return_value += 0.5
    assert clock.return_value - 100.5 == 47.5


def test_what_is_refused_over_the_wire_is_throttling_and_makes_nothing(cloud, ec2):
    cloud.scenario(buckets={"RunInstances": {"size": 2, "refill": 0.001}})
    run(ec2), run(ec2)
    assert refused("RequestLimitExceeded", run, ec2, status=503) == "Request limit exceeded."
    assert len(every_instance(ec2)) == 2
    assert [call["code"] for call in cloud.calls("RunInstances", everyone=True)] == [None, None, "RequestLimitExceeded"]


def test_each_operation_and_each_region_has_a_bucket_of_its_own(cloud, ec2):
    cloud.scenario(buckets={name: {"size": 1, "refill": 0.001} for name in ("RunInstances", "DescribeVolumes")})
    run(ec2)
    ec2.describe_volumes()
    run(cloud.client("ec2", "us-west-2"))
    for _ in range(5):
        ec2.describe_instances()  # has none, and is never refused
    refused("RequestLimitExceeded", ec2.describe_volumes, status=503)
    refused("RequestLimitExceeded", run, ec2, status=503)


def test_new_scenario_begins_with_full_buckets(cloud, ec2):
    for _ in range(2):
        cloud.scenario(buckets={"RunInstances": {"size": 1, "refill": 0.001}})
        run(ec2)
    cloud.scenario()
    run(ec2)


@pytest.mark.parametrize("bucket", [{"size": 0, "refill": 2}, {"size": 5, "refill": 0}, {"size": 5}, {"sise": 5}])
def test_a_bucket_that_makes_no_sense_is_refused_by_name(cloud, bucket):
    status, answer = ask(cloud, "POST", "scenario", {"buckets": {"RunInstances": bucket}})
    assert status == 400
    assert answer["error"].startswith("buckets.RunInstances")
