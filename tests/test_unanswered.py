"""A call whose response is lost is never carried out twice, in whichever order AWS comes to show what it made."""

import pytest

from tests.waiting import wait_until

EXPERIMENT = 'instance_types = ["g5.xlarge"]\nregions = ["us-east-1"]\n[[data]]\ndataset = "speech"\nmount = "/data"\n'
NO_ANSWER = {"action": "RunInstances", "kind": "hang-after", "times": 1}
VOLUMES_FIRST = {"instance": 1.5}
"""Less than the local cloud's clients wait for what may have been made."""


@pytest.fixture
def demo(lab):
    lab.write("experiments/demo.toml", EXPERIMENT)
    return lab


def killed_before_the_response(lab, cloud, **scenario):
    cloud.stop_clock()
    cloud.scenario(**scenario, faults=[NO_ANSWER])
    process = lab.start("launch", EXP="demo")
    wait_until(lambda: cloud.calls("RunInstances"))
    process.kill()
    process.communicate()


def instances(cloud):
    return [one["id"] for one in cloud.inventory() if one["kind"] == "instance" and one["state"] != "terminated"]


def tokens(cloud):
    return [call["params"]["ClientToken"] for call in cloud.calls("RunInstances")]


def test_run_again_at_once_it_is_asked_again_by_its_token_and_the_one_instance_is_taken_up(demo, cloud):
    killed_before_the_response(demo, cloud, invisible={"instance": 3})
    ended = demo.run("launch", EXP="demo")
    assert len(instances(cloud)) == 1
    first, again = tokens(cloud)
    assert first == again
    cloud.scenario()
    assert ended.code == 0, ended.err


def test_where_something_else_would_be_asked_for_now_the_instance_is_waited_for(demo, cloud):
    killed_before_the_response(demo, cloud, invisible=VOLUMES_FIRST)
    demo.write("experiments/demo.toml", EXPERIMENT.replace("g5.xlarge", "g5.2xlarge"))
    ended = demo.run("launch", EXP="demo")
    assert ended.code == 0, ended.err
    assert len(tokens(cloud)) == len(instances(cloud)) == 1


def test_a_request_that_never_arrived_is_carried_out_once(demo, cloud):
    cloud.scenario(faults=[{"action": "RunInstances", "kind": "reset-before"}])
    process = demo.start("launch", EXP="demo")
    while not cloud.calls("RunInstances"):
        assert process.poll() is None
    process.kill()
    process.communicate()
    cloud.scenario()
    assert demo.run("launch", EXP="demo").code == 0
    assert len(instances(cloud)) == 1
    assert len(set(tokens(cloud))) == 1


def test_one_whose_response_is_on_record_is_taken_up_though_aws_does_not_show_it(demo, cloud):
    cloud.scenario(invisible={"instance": 4}, pending=60)
    process = demo.start("launch", EXP="demo", JSON="1")
    while '"instance-pending"' not in process.stdout.readline():
        assert process.poll() is None
    process.kill()
    process.communicate()
    cloud.advance(60)
    cloud.scenario()
    assert demo.run("launch", EXP="demo").code == 0
    assert len(instances(cloud)) == 1


def test_a_teardown_waits_for_the_instance_whose_volumes_are_shown(demo, cloud):
    killed_before_the_response(demo, cloud, invisible=VOLUMES_FIRST)
    ended = demo.run("teardown", EXP="demo")
    assert ended.code == 0, ended.err
    assert instances(cloud) == []
    assert len(tokens(cloud)) == 1


def test_a_teardown_right_after_a_refused_launch_asks_for_each_deletion_once(demo, cloud):
    assert demo.run("launch", EXP="demo").code == 0
    assert "is already live" in demo.run("launch", EXP="demo").err
    before = len(cloud.calls("DescribeInstances"))
    assert demo.run("teardown", EXP="demo").code == 0
    assert len(cloud.calls("TerminateInstances")) == 1
    assert cloud.calls("DeleteVolume") == []
    assert len(cloud.calls("DescribeInstances")) - before <= 3


def test_a_group_that_was_found_resolves_the_call_that_made_it(demo, cloud):
    cloud.scenario(faults=[{"action": "CreateSecurityGroup", "kind": "reset-after", "times": 1}])
    assert demo.run("launch", EXP="demo").code == 0
    assert [call["code"] for call in cloud.calls("CreateSecurityGroup")] == [None, "InvalidGroup.Duplicate"]
    (asked,) = [r["id"] for r in demo.records() if r["event"] == "intent" and r["operation"] == "CreateSecurityGroup"]
    notes = [record["annotation"] for record in demo.records() if record["event"] == "annotation"]
    assert asked in {identity for note in notes for identity in note.get("resolved", ())}
    before = len(cloud.calls("DescribeInstances"))
    assert demo.run("teardown", EXP="demo").code == 0
    assert len(cloud.calls("DescribeInstances")) - before <= 3
    assert demo.run("launch", EXP="demo").code == 0, "the group is the lab's, and stayed"
    assert len(cloud.calls("CreateSecurityGroup")) == 2
