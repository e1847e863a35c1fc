"""The table of errors, row by row, in AWS's own words."""

import ast
from pathlib import Path

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.session import get_session

from ec2lab.aws.error_codes import (
    CATEGORIES,
    PREFIXES,
    REGION_OUT,
    TRANSIENT,
    ApiError,
    ErrorCategory,
    classify,
    zones_in,
)
from ec2lab.aws.errors import api_error, carry_regions, described
from ec2lab.quota_names import quota_key, quota_name
from tests.lab_directory import REPOSITORY

C = ErrorCategory
IN_ZONE = (
    "Your requested instance type (p5.48xlarge) is not supported in your requested Availability Zone (us-east-1e). "
    "Please retry your request by not specifying an Availability Zone or choosing us-east-1a, us-east-1b."
)
NO_SUBNET_IN_ZONE = "No default subnet for availability zone: 'us-east-1e'."
NO_SUBNETS = "No subnets found for the default VPC 'vpc-0123'. Please specify a subnet."
SUBSCRIBE = (
    "In order to use this AWS Marketplace product you need to accept terms and subscribe. To do so please visit "
    "https://aws.amazon.com/marketplace/pp?sku=abc"
)
BY_POLICY = (
    "You are not authorized to perform this operation. User: arn:aws:iam::1:user/eve is not authorized to perform: "
    "ec2:RunInstances on resource: arn:aws:ec2:eu-west-3:1:instance/* with an explicit deny in a service control "
    "policy. Encoded authorization failure message: abc"
)


@pytest.mark.parametrize(
    ("code", "message", "status", "category"),
    [
        ("InsufficientInstanceCapacity", "", 500, C.INSUFFICIENT_CAPACITY),
        ("SpotMaxPriceTooLow", "", 400, C.INSUFFICIENT_CAPACITY),
        ("ReservationCapacityExceeded", "", 400, C.INSUFFICIENT_CAPACITY),
        ("InsufficientFreeAddressesInSubnet", "", 400, C.ZONE_UNAVAILABLE),
        ("InvalidInput", NO_SUBNET_IN_ZONE, 400, C.ZONE_UNAVAILABLE),
        ("InvalidSubnetID.NotFound", NO_SUBNET_IN_ZONE, 400, C.ZONE_UNAVAILABLE),
        ("InvalidInput", "The input is not valid.", 400, C.FATAL),
        ("Unsupported", IN_ZONE, 400, C.NOT_OFFERED_IN_ZONE),
        ("Unsupported", "The requested configuration is currently not supported.", 400, C.NOT_OFFERED),
        ("InvalidParameterValue", "Invalid value 'p9.large' for InstanceType.", 400, C.NOT_OFFERED),
        ("InvalidParameterValue", "Invalid value for Placement", 400, C.FATAL),
        ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", "", 403, C.NOT_OFFERED),
        ("VolumeTypeNotAvailableInZone", "", 400, C.NOT_OFFERED_IN_ZONE),
        ("VcpuLimitExceeded", "", 400, C.COMPUTE_QUOTA),
        ("MaxSpotInstanceCountExceeded", "", 400, C.COMPUTE_QUOTA),
        ("MaxIOPSLimitExceeded", "", 400, C.STORAGE_QUOTA),
        ("RulesPerSecurityGroupLimitExceeded", "", 400, C.NETWORK_QUOTA),
        ("ResourceLimitExceeded", "", 400, C.TOO_MANY_AT_ONCE),
        ("RequestLimitExceeded", "", 503, C.THROTTLED),
        ("ThrottlingException", "", 400, C.THROTTLED),
        ("ThrottlingSomethingNew", "", 400, C.THROTTLED),
        ("PriorRequestNotComplete", "", 400, C.THROTTLED),
        ("InternalServerException", "", 500, C.AMBIGUOUS),
        ("ResponseParserError", "", None, C.AMBIGUOUS),
        ("ReadTimeoutError", "", None, C.AMBIGUOUS),
        ("503", "Service Unavailable", 503, C.AMBIGUOUS),
        ("501", "Not Implemented", 501, C.FATAL),
        ("AuthFailure", "AWS was not able to validate the provided access credentials", 401, C.REGION_UNUSABLE),
        ("InvalidClientTokenId", "The security token included in the request is invalid.", 403, C.REGION_UNUSABLE),
        ("OptInRequired", "You are not subscribed to this service.", 401, C.REGION_UNUSABLE),
        ("OptInRequired", SUBSCRIBE, 401, C.SUBSCRIPTION_REQUIRED),
        ("MissingInput", NO_SUBNETS, 400, C.REGION_UNUSABLE),
        ("InvalidAMIID.Unavailable", "", 400, C.REGION_UNUSABLE),
        ("PendingVerification", "", 400, C.REGION_UNUSABLE),
        ("UnauthorizedOperation", BY_POLICY, 403, C.REGION_DENIED),
        ("UnauthorizedOperation", "", 403, C.ACCESS_DENIED),
        ("AccessDeniedException", "", 400, C.ACCESS_DENIED),
        ("Blocked", "", 403, C.FATAL),
        ("RequestExpired", "", 400, C.FATAL),
        ("InvalidUserData.Malformed", "", 400, C.FATAL),
        ("SomethingNewOfAws", "", 418, C.FATAL),
        ("IdempotentParameterMismatch", "", 400, C.PARAMETER_MISMATCH),
        ("IdempotentInstanceTerminated", "", 400, C.CLIENT_TOKEN_REUSED),
        ("DryRunOperation", "", 412, C.DRY_RUN_SUCCEEDED),
    ],
)
def test_an_error_means_what_the_table_says(code, message, status, category):
    assert classify(code, message, status) is category


SERVICES = ("ebs", "sts", "iam", "ssm", "service-quotas", "pricing", "cloudtrail", "dynamodb", "s3")
"""EC2's own model names no errors."""


@pytest.mark.parametrize("service", SERVICES)
def test_every_error_of_a_services_model_is_what_its_name_and_status_say(service):
    shapes = get_session().get_service_model(service).error_shapes
    assert shapes
    for shape in shapes:
        error = shape.metadata.get("error", {})
        code, status = error.get("code") or shape.name, error.get("httpStatusCode") or 400
        found = classify(code, "", status)
        if status >= 500:
            assert found is C.AMBIGUOUS, code
        elif "throttl" in code.lower() or "throughput" in code.lower():
            assert found is C.THROTTLED, code
        elif code.startswith("AccessDenied"):
            assert found is C.ACCESS_DENIED, code
        else:
            assert found is not C.AMBIGUOUS, code


@pytest.mark.parametrize(
    ("code", "category"),
    [
        ("Server.InsufficientInstanceCapacity", C.INSUFFICIENT_CAPACITY),
        ("Server.InternalError", C.INSUFFICIENT_CAPACITY),
        ("Server.SpotInstanceTermination", C.INSUFFICIENT_CAPACITY),
        ("Client.VolumeLimitExceeded", C.STORAGE_QUOTA),
        ("Client.InvalidSnapshot.NotFound", C.REGION_UNUSABLE),
        ("Client.InternalError", C.REGION_UNUSABLE),
        ("Client.UserInitiatedShutdown", C.FATAL),
    ],
)
def test_a_late_error_is_never_ambiguous_because_the_instance_is_dead(code, category):
    assert ApiError(code, "", late=True).category is category


def test_an_error_names_its_region_whether_aws_answered_or_nobody(cloud):
    session = get_session()
    carry_regions(session)
    credentials = {"aws_access_key_id": "testing", "aws_secret_access_key": cloud.secret}
    once = Config(retries={"total_max_attempts": 1}, connect_timeout=5)
    cloud.scenario(faults=[{"code": "UnauthorizedOperation", "message": "no"}])
    for url, said in ((cloud.url, "UnauthorizedOperation: no"), ("http://127.0.0.1:9", "Could not connect")):
        ec2 = session.create_client("ec2", "eu-west-2", endpoint_url=url, config=once, **credentials)
        with pytest.raises((ClientError, EndpointConnectionError)) as caught:
            ec2.describe_regions()
        error = api_error(caught.value, market="spot")
        assert (error.region, error.operation, error.market) == ("eu-west-2", "ec2:DescribeRegions", "spot")
        assert described(caught.value).startswith(f"DescribeRegions in eu-west-2: {said}")


def test_awss_message_is_shown_where_waiting_does_not_help_without_what_is_encoded_in_it():
    told = ApiError("UnauthorizedOperation", BY_POLICY, 403).explained
    assert told.startswith("denied by an organization policy (UnauthorizedOperation): You are not authorized")
    assert told.endswith("service control policy.")
    assert ApiError("InsufficientInstanceCapacity", "We lack it.", 500).explained == "insufficient capacity"


def test_every_category_has_a_code_or_a_message_of_its_own():
    by_message = {C.SUBSCRIPTION_REQUIRED, C.REGION_DENIED, C.RESERVATION_UNUSABLE, C.FATAL}
    assert {*CATEGORIES.values(), *PREFIXES.values()} | by_message == set(C)


def test_zones_are_known_by_their_region_whatever_aws_calls_them():
    text = "in (us-west-2-lax-1a), us-west-2b or ec2.us-west-2.amazonaws.com, arn:aws:ec2:us-west-2:1"
    assert zones_in(text, "us-west-2") == ["us-west-2-lax-1a", "us-west-2b"]
    assert zones_in("choosing eusc-de-east-1a.", "eusc-de-east-1") == ["eusc-de-east-1a"]
    assert ApiError("Unsupported", IN_ZONE, 400, region="us-east-1").unavailable_zone == "us-east-1e"


@pytest.mark.parametrize(
    ("instance_type", "market", "name"),
    [
        ("g5.xlarge", "on-demand", "Running On-Demand G and VT instances"),
        ("gr6.4xlarge", "spot", "All G and VT Spot Instance Requests"),
        ("p4d.24xlarge", "on-demand", "Running On-Demand P instances"),
        ("p4d.24xlarge", "reservation", "Running On-Demand P instances"),
        ("p4de.24xlarge", "spot", "All P4, P3 and P2 Spot Instance Requests"),
        ("p5en.48xlarge", "spot", "All P5 Spot Instance Requests"),
        ("p5.48xlarge", "capacity-block", None),
        ("p6-b200.48xlarge", "spot", None),
        ("trn1.32xlarge", "spot", "All Trn Spot Instance Requests"),
        ("u7i-12tb.224xlarge", "spot", None),
        ("im4gn.large", "on-demand", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"),
        ("x2idn.16xlarge", "spot", "All X Spot Instance Requests"),
        ("mac2.metal", "on-demand", None),
        ("q9.large", "on-demand", None),
    ],
)
def test_a_quota_has_the_name_that_aws_gives_it_and_none_that_is_guessed(instance_type, market, name):
    assert quota_name(instance_type, market) == name


def test_types_without_a_known_quota_share_none_with_others():
    assert quota_key("p6-b200.48xlarge", "spot") == quota_key("p6-b300.48xlarge", "spot")
    assert quota_key("p6-b200.48xlarge", "spot") != quota_key("p5.48xlarge", "spot")


def test_a_server_error_is_ambiguous_and_what_it_does_not_know_it_has_not_begun():
    found = {status: classify("SomethingNew", "", status) for status in (None, 400, 499, 500, 501, 502)}
    assert found == {None: C.AMBIGUOUS, 400: C.FATAL, 499: C.FATAL, 500: C.AMBIGUOUS, 501: C.FATAL, 502: C.AMBIGUOUS}


def test_the_zone_that_is_refused_is_told_from_those_that_would_do():
    offered = "Unsupported here: try choosing us-east-1a."
    assert classify("Unsupported", offered, 400, "us-east-1") is C.NOT_OFFERED
    assert classify("Unsupported", "Not in us-east-1e; try choosing x", 400, "us-east-1") is C.NOT_OFFERED_IN_ZONE


def test_what_says_nothing_of_another_region_puts_its_region_out_alone():
    assert {C.ACCESS_DENIED, C.REGION_DENIED, C.REGION_UNUSABLE, C.STORAGE_QUOTA, C.NETWORK_QUOTA} == REGION_OUT
    assert {C.TOO_MANY_AT_ONCE, C.THROTTLED, C.AMBIGUOUS} == TRANSIENT


def test_an_error_says_what_it_is_about():
    assert ApiError("AuthFailure", "").is_about_credentials
    assert not ApiError("OptInRequired", "").is_about_credentials
    assert ApiError("RequestExpired", "").is_everywhere
    assert not ApiError("AuthFailure", "").is_everywhere
    assert ApiError("InvalidInput", NO_SUBNET_IN_ZONE).lacks_default_subnet
    assert not ApiError("InvalidInput", NO_SUBNETS).lacks_default_subnet
    assert ApiError("Client.InvalidSubnetID.NotFound", "").is_about_a_subnet
    assert not ApiError("InvalidSnapshot.NotFound", "").is_about_a_subnet


@pytest.mark.parametrize(
    ("error", "explained"),
    [
        (ApiError("VcpuLimitExceeded", "Too\n many.", 400), "vCPU quota used up (VcpuLimitExceeded): Too many."),
        (ApiError("VcpuLimitExceeded", "", 400), "vCPU quota used up (VcpuLimitExceeded)"),
        (ApiError("RequestLimitExceeded", "Slow down.", 503), "throttled (RequestLimitExceeded)"),
    ],
)
def test_an_error_is_explained_by_awss_message_where_waiting_does_not_help(error, explained):
    assert error.explained == explained


def test_an_error_is_of_the_call_itself_unless_it_came_late():
    assert ApiError("Server.InternalError", "", 500).category is C.AMBIGUOUS


def test_what_has_no_quota_that_is_known_shares_one_with_its_generation_and_market():
    assert quota_key("x9y.large", "spot") == quota_name("x9y.large", "spot")
    assert quota_key("q4d.large", "spot") == "q4 spot"
    assert quota_key("q4d.large", "on-demand") == "q4 on-demand"
    assert quota_key("g5.xlarge", "on-demand") == "Running On-Demand G and VT instances"
    assert quota_name("qa1.large", "on-demand") is None
    assert quota_name("aq1.large", "on-demand") == "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"


def caught(path: Path):
    """The names of what each `except` of a file catches."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler) and node.type:
            yield {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)}


def test_whoever_catches_all_that_a_call_raises_catches_a_torn_response_too():
    """AWS_ERRORS is all of it; below the room that has it, botocore's three are named."""
    both = {"ClientError", "BotoCoreError"}
    files = [path for room in ("scripts", "ec2lab") for path in (REPOSITORY / room).rglob("*.py")]
    forgetful = [
        str(path) for path in files for names in caught(path) if both <= names != both | {"ResponseParserError"}
    ]
    assert forgetful == []
