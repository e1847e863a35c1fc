"""A table that refuses: what is not on record is not done, and what was done is not forgotten."""

import pytest

from tests.live_resources import living_in

TABLE = "dynamodb://us-east-1/team?lease=2s"


@pytest.fixture
def table(lab):
    """A lab whose registry is a table that is there already."""
    assert lab.run("status", REGISTRY=TABLE).code == 0
    return lab


@pytest.mark.parametrize("action", ["GetItem", "PutItem", "Query", "TransactWriteItems"])
def test_where_it_may_not_be_written_or_read_no_instance_is_made(table, cloud, action):
    cloud.scenario(faults=[{"action": action, "code": "AccessDeniedException", "message": "no"}])
    ended = table.launch(REGISTRY=TABLE)
    assert ended.code == 1
    assert f"{TABLE}: {action} in us-east-1: AccessDeniedException: no (docs/iam-policy.json" in ended.error
    assert cloud.calls("RunInstances") == []


def test_one_that_is_asked_too_fast_is_asked_again(table, cloud):
    cloud.scenario(faults=[{"action": "*Item*", "code": "ThrottlingException", "probability": 0.2}], seed=3)
    assert table.launch(REGISTRY=TABLE).code == 0
    cloud.scenario()
    assert table.teardown(REGISTRY=TABLE).code == 0


@pytest.mark.parametrize("skip", range(6))
def test_one_that_refuses_in_the_midst_of_a_launch_forgets_no_instance(table, cloud, skip):
    cloud.scenario(faults=[{"action": "PutItem", "skip": skip, "code": "AccessDeniedException", "message": "no"}])
    table.launch(REGISTRY=TABLE)
    cloud.scenario()
    ended = table.teardown(REGISTRY=TABLE)
    assert ended.code == 0 or "was never launched" in ended.error, ended.err
    assert living_in(cloud, "us-east-1", "instance") == []
    assert living_in(cloud, "us-west-2", "instance") == []
