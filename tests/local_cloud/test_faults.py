"""Calls that go wrong, and calls that are counted."""

import time
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ResponseStreamingError
from botocore.parsers import ResponseParserError

from tests.local_cloud.requests import every_instance, refused, run


@pytest.mark.parametrize(
    ("code", "status"),
    [("RequestLimitExceeded", 503), ("UnauthorizedOperation", 403), ("AuthFailure", 401), ("InternalError", 500)],
)
def test_each_code_comes_with_awss_own_status(cloud, ec2, code, status):
    cloud.scenario(faults=[{"action": "RunInstances", "code": code, "message": "why"}])
    assert refused(code, run, ec2, status=status) == "why"


def test_a_fault_skips_calls_strikes_some_and_is_over(cloud, ec2):
    cloud.scenario(faults=[{"action": "Describe*", "skip": 1, "times": 1, "code": "Unavailable"}])
    ec2.describe_volumes()
    refused("Unavailable", ec2.describe_volumes, status=503)
    ec2.describe_volumes()


def test_a_fault_is_of_one_region(cloud, ec2):
    cloud.scenario(faults=[{"region": "us-west-*", "code": "Unavailable"}])
    ec2.describe_volumes()
    refused("Unavailable", cloud.client("ec2", "us-west-2").describe_volumes, status=503)


@pytest.mark.parametrize(
    ("service", "ask"), [("ssm", lambda c: c.get_parameter(Name="x")), ("sts", lambda c: c.get_caller_identity())]
)
def test_each_service_words_its_errors_in_its_own_protocol(cloud, service, ask):
    cloud.scenario(faults=[{"code": "ThrottlingException", "message": "slower"}])
    assert refused("ThrottlingException", ask, cloud.client(service, "us-east-1")) == "slower"


@pytest.mark.parametrize(("kind", "made"), [("reset-before", 0), ("reset-after", 1)])
def test_a_lost_connection_tells_nothing_of_what_was_done(cloud, ec2, kind, made):
    cloud.scenario(faults=[{"action": "RunInstances", "kind": kind, "times": 1}])
    with pytest.raises(ConnectionClosedError):
        run(ec2)
    assert len(every_instance(ec2)) == made


def test_a_truncated_answer_is_no_answer_and_the_instance_is_made(cloud, ec2):
    cloud.scenario(faults=[{"action": "RunInstances", "kind": "truncated", "times": 1}])
    with pytest.raises((ResponseParserError, ResponseStreamingError)):
        run(ec2)
    assert len(every_instance(ec2)) == 1


def test_a_page_is_no_aws_error(cloud, ec2):
    cloud.scenario(faults=[{"action": "RunInstances", "kind": "html-503", "times": 1}])
    with pytest.raises((ResponseParserError, ClientError)) as caught:
        run(ec2)
    assert "InsufficientInstanceCapacity" not in str(caught.value)
    assert every_instance(ec2) == []


def test_what_moto_lacks_is_said_in_so_many_words(ec2):
    assert "ec2:DescribeFpgaImages" in refused("UnsupportedOperation", ec2.describe_fpga_images)
    unknown = [{"Name": "block-device-mapping.volume-id", "Values": ["vol-1"]}]
    run(ec2)
    refused("UnsupportedOperation", ec2.describe_instances, Filters=unknown)


@pytest.mark.parametrize("of", ["us-west-2", "DescribeAddresses"])
def test_latency_is_of_a_region_or_an_operation_and_holds_nobody_else_up(cloud, ec2, of):
    far = cloud.client("ec2", "us-west-2")
    far.describe_addresses(), ec2.describe_volumes()
    cloud.scenario(latency={of: 0.15})
    with ThreadPoolExecutor(1) as threads:
        began = time.perf_counter()
        slow = threads.submit(far.describe_addresses)
        ec2.describe_volumes()
        assert not slow.done()
        slow.result()
    assert time.perf_counter() - began >= 0.15


def test_every_call_is_counted_in_order_without_user_data(cloud, ec2):
    before = len(cloud.calls(everyone=True))
    ec2.describe_volumes()
    run(ec2, UserData="secret")
    cloud.client("ssm", "us-west-2").get_parameters(Names=["x"])
    seen = cloud.calls(everyone=True)[before:]
    assert [(c["service"], c["region"], c["action"], c["status"]) for c in seen] == [
        ("ec2", "us-east-1", "DescribeVolumes", 200),
        ("ec2", "us-east-1", "RunInstances", 200),
        ("ssm", "us-west-2", "GetParameters", 200),
    ]
    assert seen[1]["params"]["InstanceType"] == "g5.xlarge"
    assert "UserData" not in seen[1]["params"]
    assert cloud.calls("RunInstances", everyone=True) == [seen[1]]


def test_a_refused_call_is_counted_with_its_code(cloud, ec2):
    cloud.scenario(capacity=[{}])
    refused("InsufficientInstanceCapacity", run, ec2, status=500)
    last = cloud.calls(everyone=True)[-1]
    assert (last["status"], last["code"]) == (500, "InsufficientInstanceCapacity")


def test_what_the_layer_itself_trips_over_is_an_error_of_awss(cloud):
    careless = boto3.client(
        "ec2", "us-east-1", endpoint_url=cloud.url, aws_access_key_id="testing", aws_secret_access_key=cloud.secret,
        config=Config(parameter_validation=False, retries={"total_max_attempts": 1}, proxies={}),
    )  # fmt: skip
    refused("InternalError", careless.attach_volume, VolumeId="vol-1", status=500)


def test_each_answer_has_a_request_id_of_its_own(cloud, ec2):
    cloud.scenario(faults=[{"action": "RunInstances", "code": "Unavailable"}])
    ids = [ec2.describe_volumes()["ResponseMetadata"]["RequestId"] for _ in range(2)]
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            run(ec2)
        ids.append(caught.value.response["ResponseMetadata"]["RequestId"])
    assert all(ids)
    assert len(set(ids)) == 4
