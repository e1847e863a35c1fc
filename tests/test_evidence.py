"""Which evidence resolves which call whose response is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.capacity_pools import Market, Pool
from ec2lab.launch.part import LaunchFragment
from ec2lab.launch.run_instances_request import build_request, pool_of
from ec2lab.plugins import Plugins
from ec2lab.registry.evidence import Outcome, is_shown, outcome_of, stand_alone
from ec2lab.registry.record import Event, Record
from ec2lab.resource import Resource, resource_types

KINDS = resource_types(Plugins(None))
TABLE = {
    "RunInstances": "instance",
    "CreateVolume": "volume",
    "CreateSnapshot": "snapshot",
    "CopySnapshot": "snapshot",
    "StartSnapshot": "snapshot",
    "CreateSecurityGroup": "security-group",
    "CreatePlacementGroup": "placement-group",
    "CreateKeyPair": "key-pair",
    "ImportKeyPair": "key-pair",
    "AllocateAddress": "address",
    "CreateRole": "role",
    "CreateInstanceProfile": "instance-profile",
    "CreateTopic": "topic",
}
"""Nothing else resolves the operation."""


def intent(operation, **request):
    return Record(event=Event.INTENT, operation=operation, request={"ClientToken": "t", **request})


def shown(resource_type, number=1, record="t"):
    return Resource(
        resource_type=resource_type,
        id=f"{resource_type}-{number}",
        region="us-east-1",
        experiment="demo",
        record=record,
    )


def test_every_operation_that_creates_is_in_the_table():
    assert {
        operation: resource_type.name for resource_type in KINDS.values() for operation in resource_type.created_by
    } == TABLE


@pytest.mark.parametrize("operation", TABLE)
def test_only_the_resource_type_that_an_operation_creates_resolves_it(operation):
    resolving = [resource_type for resource_type in KINDS if is_shown(intent(operation), [shown(resource_type)], KINDS)]
    assert resolving == [TABLE[operation]]
    assert not is_shown(intent(operation), [shown(TABLE[operation], record="another's")], KINDS)


@pytest.mark.parametrize("seen", range(4))
def test_a_request_for_several_is_resolved_by_all_of_them(seen):
    found = [shown("instance", number) for number in range(seen)]
    assert is_shown(intent("RunInstances", MinCount=1, MaxCount=3), found, KINDS) == (seen == 3)


def test_what_came_with_an_instance_does_not_stand_alone():
    found = [shown("instance"), shown("volume"), shown("volume", 2, "another's")]
    asked = [intent("RunInstances"), Record(event=Event.INTENT, operation="CreateVolume", id="another's", request={})]
    assert stand_alone(found, asked, KINDS) == [found[0], found[2]]


@pytest.mark.parametrize(
    ("code", "status", "retries", "says"),
    [
        ("InsufficientInstanceCapacity", 500, 0, Outcome.NOTHING_MADE),
        ("VcpuLimitExceeded", 400, 0, Outcome.NOTHING_MADE),
        ("IdempotentInstanceTerminated", 400, 0, Outcome.NOTHING_MADE),
        ("IdempotentParameterMismatch", 400, 0, Outcome.NOT_NOW),
        ("UnauthorizedOperation", 403, 0, Outcome.NOT_NOW),
        ("AuthFailure", 401, 0, Outcome.NOT_NOW),
        ("RequestExpired", 400, 0, Outcome.NOT_NOW),
        ("RequestLimitExceeded", 503, 0, Outcome.NOT_NOW),
        ("NoCredentialsError", None, 0, Outcome.NOT_NOW),
        ("InternalError", 500, 0, Outcome.NOTHING),
        ("ReadTimeoutError", None, 0, Outcome.NOTHING),
        ("InvalidGroup.Duplicate", 400, 0, Outcome.NOTHING_MADE),
        ("InvalidGroup.Duplicate", 400, 1, Outcome.NOTHING),
    ],
)
def test_what_an_error_says_of_the_call(code, status, retries, says):
    error = {"code": code, "message": "", "http_status": status, "retries": retries}
    assert outcome_of(Record(event=Event.ERROR, parent_id="x", operation="RunInstances", error=error)) is says


markets = st.sampled_from(["on-demand", "spot", "reservation:cr-1", "capacity-block:cr-2"]).map(Market.parse)
places = st.sampled_from([{}, {"zone": "us-east-1a"}, {"subnet": "subnet-1"}])


@given(markets, places, st.booleans())
def test_the_pool_of_a_request_is_the_pool_that_it_was_made_for(market, place, has_efa):
    pool = Pool("us-east-1", "p4d.24xlarge", market, **place)
    groups = {"SecurityGroupIds": ["sg-1"], "Placement": {"GroupName": "side-by-side"}}
    share = LaunchFragment(request=groups, efa_types=frozenset(["p4d.24xlarge"] if has_efa else []))
    assert pool_of(build_request(share, pool), "us-east-1") == pool
