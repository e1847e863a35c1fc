"""Teardown leaves nothing, whatever came before it."""

import pytest

from tests.live_resources import living_in
from tests.waiting import in_quick_motion, wait_until

REGIONS = ("us-east-1", "us-west-2")


def test_nothing_that_costs_is_left_and_the_regions_security_group_stays_for_the_next(lab, cloud):
    lab.launch()
    ended = lab.teardown()
    assert ended.code == 0, ended.err
    for region in REGIONS:
        assert living_in(cloud, region, "instance") == []
        assert living_in(cloud, region, "volume") == []
    names = [g["GroupName"] for g in cloud.client("ec2", "us-east-1").describe_security_groups()["SecurityGroups"]]
    assert "ec2-lab-lab" in names


def test_it_says_what_it_deleted_and_waits_until_aws_shows_nothing(lab, cloud):
    cloud.scenario(shutting_down=0.6)
    lab.launch()
    ended = lab.teardown()
    assert ended.events[0]["event"] == "deleting"
    assert ended.events[0]["resource_type"] == "instance"
    assert ended.events[-1]["event"] == "teardown-complete"
    (instance,) = cloud.client("ec2", "us-east-1").describe_instances()["Reservations"]
    assert instance["Instances"][0]["State"]["Name"] == "terminated"


def test_the_second_time_is_fine_and_deletes_nothing(lab, cloud):
    lab.launch()
    lab.teardown()
    ended = lab.teardown()
    assert ended.code == 0
    assert ended.events == [
        {
            "event": "teardown-complete",
            "experiment": "demo",
            "deleted": [],
            "deleted_with_parent": [],
            "deleted_types": {},
            "retained": 0,
        }
    ]
    assert len(cloud.calls("TerminateInstances")) == 1


def test_an_experiment_never_launched_is_an_error_that_names_what_lives(lab):
    lab.launch()
    lab.write("experiments/other.toml", 'instance_types = ["g5.xlarge"]\n')
    ended = lab.teardown("other")
    assert ended.code == 1
    assert ended.error == "error: other: was never launched from this registry (live: demo)"
    assert lab.status()


def test_it_needs_no_experiment_file(lab, cloud):
    lab.launch()
    (lab.path / "experiments" / "demo.toml").unlink()
    assert lab.teardown().code == 0
    assert living_in(cloud, "us-east-1", "instance") == []


def test_what_another_script_made_for_the_experiment_goes_too_in_the_right_order(lab, cloud):
    lab.launch()
    lab.write(
        "extra.py",
        "from ec2lab.session import locked_session\n"
        "with locked_session('demo', 'extra') as session:\n"
        "    ec2 = session.cloud.ec2('us-west-2')\n"
        "    volume = ec2.create_volume(AvailabilityZone='us-west-2a', Size=1)['VolumeId']\n"
        "    ec2.create_snapshot(VolumeId=volume)\n"
        "    ec2.create_security_group(GroupName='extra', Description='x')\n"
        "    print(ec2.create_key_pair(KeyName='extra', KeyType='ed25519')['KeyMaterial'])\n",
    )
    private_key = lab.run_file("extra.py").out
    assert "PRIVATE KEY" in private_key
    assert private_key.splitlines()[1] not in lab.registry.read_text()
    ended = lab.teardown()
    kinds = [event["resource_type"] for event in ended.events if event["event"] == "deleting"]
    assert set(kinds) == {"instance", "volume", "snapshot", "security-group", "key-pair"}
    assert kinds.index("volume") < kinds.index("snapshot")
    ec2 = cloud.client("ec2", "us-west-2")
    assert living_in(cloud, "us-west-2", "volume") == []
    assert ec2.describe_key_pairs()["KeyPairs"] == []
    mine = [{"Name": "tag:lab:experiment", "Values": ["demo"]}]
    assert ec2.describe_snapshots(Filters=mine)["Snapshots"] == []
    assert ec2.describe_security_groups(Filters=mine)["SecurityGroups"] == []


def test_an_instance_that_somebody_else_ended_counts_as_deleted(lab, cloud):
    lab.launch()
    cloud.reset()  # the cloud has forgotten everything
    ended = lab.teardown()
    assert ended.code == 0
    assert ended.events[-1]["event"] == "teardown-complete"
    assert lab.status() == []


@pytest.mark.parametrize("kind", ["reset-after", "html-503"])
def test_a_lost_answer_to_the_deletion_does_not_stop_it(lab, cloud, kind):
    lab.launch()
    cloud.scenario(faults=[{"action": "TerminateInstances", "kind": kind, "times": 1}])
    assert lab.teardown().code == 0
    assert living_in(cloud, "us-east-1", "instance") == []


def test_when_it_may_not_delete_it_says_why_and_the_next_try_goes_on(lab, cloud):
    lab.launch()
    cloud.scenario(faults=[{"action": "TerminateInstances", "code": "UnauthorizedOperation", "message": "no"}])
    ended = lab.teardown()
    assert ended.code == 1
    assert "TerminateInstances in us-east-1: UnauthorizedOperation: no (docs/iam-policy.json" in ended.error
    cloud.scenario()
    assert lab.teardown().code == 0
    assert living_in(cloud, "us-east-1", "instance") == []


def test_that_it_may_not_delete_an_instance_long_gone_does_not_matter(lab, cloud):
    lab.launch()
    cloud.reset()
    cloud.scenario(faults=[{"action": "TerminateInstances", "code": "UnauthorizedOperation", "message": "no"}])
    assert lab.teardown().code == 0


def test_an_instance_of_the_same_name_and_another_registry_is_left_alone(lab, cloud):
    lab.launch()
    assert lab.launch(REGISTRY="other.json").code == 0
    assert len(living_in(cloud, "us-east-1", "instance")) == 2
    assert lab.teardown(REGISTRY="other.json").code == 0
    (left,) = living_in(cloud, "us-east-1", "instance")
    assert [resource["id"] for resource in lab.status()] == [left["InstanceId"]]


def test_a_volume_that_does_not_go_with_its_instance_is_deleted_after_it(lab, cloud):
    cloud.scenario(shutting_down=0.5)
    lab.launch()
    lab.write(
        "keep.py",
        "from ec2lab.session import locked_session\n"
        "with locked_session('demo', 'keep') as session:\n"
        "    ec2 = session.cloud.ec2('us-east-1')\n"
        "    instance = session.records.state('demo').live[0].id\n"
        "    volume = ec2.create_volume(AvailabilityZone='us-east-1a', Size=1)['VolumeId']\n"
        "    ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device='/dev/sdp')\n",
    )
    assert lab.run_file("keep.py").code == 0
    assert len(living_in(cloud, "us-east-1", "volume")) == 3
    assert lab.teardown().code == 0
    assert living_in(cloud, "us-east-1", "volume") == []


@pytest.mark.parametrize("script", ["teardown", "launch"])
def test_what_aws_does_not_show_yet_after_a_kill_is_waited_for(lab, cloud, script):
    cloud.stop_clock()
    cloud.scenario(
        invisible={"instance": 0.8, "volume": 0.8},
        faults=[{"action": "RunInstances", "kind": "hang-after", "times": 1}],
    )
    process = lab.start("launch", EXP="demo", JSON="1")
    wait_until(lambda: cloud.calls("RunInstances"))
    process.kill()
    process.communicate()
    (row,) = lab.status()
    assert row["state"] == "possibly created: make teardown EXP=demo"
    assert row["unknown_prices"] == 1, "nobody knows what it costs, and that is not nothing"
    ended = lab.run(script, EXP="demo")
    if script == "launch":
        assert ended.code == 0
        assert "was created by an interrupted launch; resuming" in ended.out
        assert len(living_in(cloud, "us-east-1", "instance")) == 1
    else:
        assert ended.code == 0
        assert "deleting instance i-" in ended.out
        assert living_in(cloud, "us-east-1", "instance") == []


def test_an_instance_that_aws_does_not_know_yet_is_not_taken_for_deleted(lab, cloud):
    cloud.stop_clock()
    cloud.scenario(invisible={"instance": 8}, pending=60)
    process = lab.start("launch", EXP="demo", JSON="1")
    while '"instance-pending"' not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(2)
    with in_quick_motion(cloud):
        process.communicate(timeout=60)
    assert living_in(cloud, "us-east-1", "instance") == []


def test_a_teardown_is_one_call_that_changes_something_and_looks_before_it_and_after_it(lab, cloud):
    lab.launch()
    before = len(cloud.calls())
    assert lab.teardown().code == 0
    calls = [call["action"] for call in cloud.calls()[before:]]
    assert sorted(calls) == sorted(["TerminateInstances", *2 * ["DescribeInstances", "DescribeVolumes"]])
    assert calls.index("TerminateInstances") > 0
