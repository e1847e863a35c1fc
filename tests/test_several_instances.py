"""COUNT instances: what can be had in each pool, the rest elsewhere, all or nothing unless MIN_COUNT says less."""

from tests.live_resources import living_in


def instances(cloud):
    return {region: len(living_in(cloud, region, "instance")) for region in ("us-east-1", "us-west-2")}


def test_what_one_pool_has_is_taken_and_the_rest_is_found_elsewhere(lab, cloud):
    cloud.scenario(capacity=[
        {"region": "us-east-1", "type": "p4d.24xlarge", "available": 3},
        {"region": "us-east-1", "type": "g5.12xlarge", "available": 1},
        {"region": "us-west-2", "available": 10},
    ])  # fmt: skip
    ended = lab.launch(COUNT="8")
    assert ended.code == 0, ended.err
    assert len([event for event in ended.events if event["event"] == "instance-running"]) == 8
    assert instances(cloud) == {"us-east-1": 4, "us-west-2": 4}
    assert lab.teardown().code == 0
    assert instances(cloud) == {"us-east-1": 0, "us-west-2": 0}


def test_too_few_are_none(lab, cloud):
    cloud.scenario(capacity=[{"region": "us-east-1", "type": "p4d.24xlarge", "available": 3}, {}])
    ended = lab.launch(COUNT="8")
    assert ended.code == 1
    assert "3 of 8 instances were available" in ended.error
    assert instances(cloud) == {"us-east-1": 0, "us-west-2": 0}


def test_min_count_says_how_few_will_do(lab, cloud):
    cloud.scenario(capacity=[{"region": "us-east-1", "type": "p4d.24xlarge", "available": 3}, {}])
    ended = lab.launch(COUNT="8", MIN_COUNT="2")
    assert ended.code == 0
    assert instances(cloud) == {"us-east-1": 3, "us-west-2": 0}


def test_instances_that_die_while_pending_are_made_up_for_elsewhere(lab, cloud):
    cloud.scenario(capacity=[{"region": "us-east-1", "late": True}])
    assert lab.launch(COUNT="3").code == 0
    assert instances(cloud) == {"us-east-1": 0, "us-west-2": 3}


def test_a_min_count_above_count_is_refused(lab, cloud):
    ended = lab.launch(COUNT="2", MIN_COUNT="3")
    assert ended.code == 1
    assert ended.error == "error: MIN_COUNT: 3 is more than COUNT, which is 2"
    assert cloud.calls() == []
