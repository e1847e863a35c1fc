"""Stopping and starting: what would be lost is said, what can't be had is asked for again, nothing is left behind."""

import pytest

PLAIN = (
    'instance_types = ["c6i.large"]\ncapacity_timeout = "{capacity_timeout}"\n[[data]]\n'
    'dataset = "speech"\nmount = "/data"\n'
)


@pytest.fixture
def running(lab, cloud):
    """A lab whose experiment runs on an instance without disks of its own."""
    lab.write("experiments/demo.toml", PLAIN.format(capacity_timeout="0s"))
    assert lab.launch().code == 0
    return lab


def state(lab):
    (instance,) = [line for line in lab.status() if line["resource_type"] == "instance"]
    return instance["state"].split()[0]


def address(lab):
    text = (lab.path / ".ssh/hosts/demo").read_text()
    return text.partition("HostName ")[2].split()[0]


def test_a_stopped_instance_is_started_at_another_address_that_ssh_then_has(running, cloud):
    before = address(running)
    stopped = running.run("stop", EXP="demo")
    assert stopped.code == 0, stopped.err
    assert "its volumes stay, and cost" in stopped.out
    assert state(running) == "stopped"
    started = running.run("start", EXP="demo")
    assert started.code == 0, started.err
    assert state(running) == "running"
    assert address(running) != before
    assert address(running) in started.out
    assert len(cloud.calls("RunInstances")) == 1


def test_a_stop_and_a_start_ask_for_instances_alone(running, cloud):
    others = ("DescribeVolumes", "DescribeKeyPairs", "DescribeSnapshots", "DescribePlacementGroups", "List*")
    cloud.scenario(faults=[{"action": action, "code": "UnauthorizedOperation"} for action in others])
    for script in ("stop", "start"):
        ended = running.run(script, EXP="demo")
        assert ended.code == 0, ended.err


def test_a_stop_waits_until_the_instance_is_down(running, cloud):
    cloud.scenario(shutting_down=0.7)
    assert running.run("stop", EXP="demo").code == 0
    assert state(running) == "stopped"


def test_a_second_stop_and_a_second_start_change_nothing(running, cloud):
    assert running.run("start", EXP="demo").code == 0
    assert cloud.calls("StartInstances") == []
    assert running.run("stop", EXP="demo").code == 0
    again = running.run("stop", EXP="demo")
    assert again.code == 0
    assert "was stopped already" in again.out
    assert len(cloud.calls("StopInstances")) == 1


def test_what_is_on_its_own_disks_is_lost_only_after_a_yes(lab, cloud):
    lab.write("experiments/demo.toml", 'instance_types = ["g5.xlarge"]\n')
    assert lab.launch().code == 0
    preview = lab.run("stop", EXP="demo")
    assert (preview.code, preview.err) == (0, "")
    assert "g5.xlarge: what is on its own disks (250 GB of instance store) is lost" in preview.out
    assert "demo: nothing was stopped; save what you need, then run again with YES=1" in preview.out
    assert state(lab) == "running"
    assert lab.run("stop", EXP="demo", YES="1").code == 0
    assert state(lab) == "stopped"


def test_a_spot_instance_is_not_asked_to_stop(lab, cloud):
    lab.write("experiments/demo.toml", 'instance_types = ["c6i.large"]\nmarkets = ["spot"]\n')
    assert lab.launch().code == 0
    refused = lab.run("stop", EXP="demo")
    assert refused.code == 1
    assert (
        "is a spot instance, which can't be stopped: save what is on it, then run `make teardown EXP=demo`"
        in refused.error
    )
    assert cloud.calls("StopInstances") == []


def test_where_capacity_is_gone_a_start_says_so_and_the_instance_stays_stopped(running, cloud):
    assert running.run("stop", EXP="demo").code == 0
    cloud.scenario(capacity=[{}])
    refused = running.run("start", EXP="demo")
    assert refused.code == 1
    assert "c6i.large is not available in us-east-1" in refused.error
    assert "insufficient capacity (InsufficientInstanceCapacity)" in refused.error
    assert len(cloud.calls("StartInstances")) == 1, "asked once: botocore's own repetitions ask the same empty pool"
    assert state(running) == "stopped"
    assert running.teardown().code == 0
    assert running.status() == []


@pytest.mark.parametrize("late", [False, True])
def test_capacity_is_asked_for_again_as_long_as_the_experiment_says(running, cloud, late):
    running.write("experiments/demo.toml", PLAIN.format(capacity_timeout="1m"))
    assert running.run("stop", EXP="demo").code == 0
    cloud.scenario(capacity=[{"calls": 1, "late": late}])
    started = running.run("start", EXP="demo")
    assert started.code == 0, started.err
    assert "insufficient capacity" in started.out
    assert "retrying at" in started.out
    assert len(cloud.calls("StartInstances")) == 2


def test_a_lost_answer_is_asked_again(running, cloud):
    running.write("experiments/demo.toml", PLAIN.format(capacity_timeout="1m"))
    assert running.run("stop", EXP="demo").code == 0
    cloud.scenario(faults=[{"action": "StartInstances", "kind": "reset-after", "times": 1}])
    started = running.run("start", EXP="demo")
    assert started.code == 0, started.err
    assert state(running) == "running"


def test_a_launch_of_what_is_stopped_names_the_start(running):
    assert running.run("stop", EXP="demo").code == 0
    refused = running.launch()
    assert refused.code == 1
    assert "`make start EXP=demo` starts it" in refused.error


def test_what_was_never_launched_can_be_neither_stopped_nor_started(lab):
    assert "no live instance" in lab.run("stop", EXP="demo").error
    assert "`make launch EXP=demo` launches it" in lab.run("start", EXP="demo").error


def test_a_start_asks_of_instances_alone_and_bears_it_where_nothing_else_may_be_read(running, cloud):
    assert running.run("stop", EXP="demo").code == 0
    others = ("Volumes", "Snapshots", "SecurityGroups", "PlacementGroups", "Addresses", "KeyPairs")
    cloud.scenario(faults=[{"action": f"Describe{name}", "code": "UnauthorizedOperation"} for name in others])
    started = running.run("start", EXP="demo")
    assert started.code == 0, started.err
