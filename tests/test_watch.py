"""Watch tells what becomes of an instance, and puts back what AWS takes away."""

import json
import os
import shutil
import signal
import threading

import pytest

from tests.printed_events import check_line, check_output
from tests.terminal_screen import run_on_terminal
from tests.test_config import KEY
from tests.waiting import in_quick_motion, wait_until

SPOT = 'instance_types = ["g5.xlarge"]\nmarkets = ["spot"]\n'


class Watching:
    """A watch in a process of its own, its events as they come."""

    def __init__(self, lab, cloud, **variables):
        self.cloud = cloud
        self.process = lab.start("watch", EXP="demo", JSON="1", **variables)
        self.alarm = threading.Timer(60, self.process.kill)
        self.alarm.start()

    def next(self, name, **expected):
        """Return the next event of that name, and of those values."""
        with in_quick_motion(self.cloud):
            for line in self.process.stdout:
                check_line("watch", line)
                event = json.loads(line)
                if event["event"] == name and expected.items() <= event.items():
                    return event
        raise AssertionError(f"the watch ended without {name}: {self.process.stderr.read()}")

    def rest(self):
        """Return all events until the watch has ended well."""
        with in_quick_motion(self.cloud):
            lines = list(self.process.stdout)
        assert self.process.wait(30) == 0, self.process.stderr.read()
        check_output("watch", "".join(lines))
        return [json.loads(line) for line in lines]

    def end(self):
        self.alarm.cancel()
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def watch(lab, cloud):
    """Return a function that begins to watch the demo."""
    begun = []

    def begin(**variables):
        begun.append(Watching(lab, cloud, **variables))
        return begun[-1]

    yield begin
    for watching in begun:
        watching.end()


def launched(lab):
    return next(event for event in lab.launch().events if event["event"] == "instance-running")["id"]


def test_a_spot_instance_that_aws_takes_is_announced_and_put_back_if_the_experiment_says_so(lab, cloud, watch):
    lab.write("experiments/demo.toml", SPOT + "on_interruption = 'relaunch'\n")
    first = launched(lab)
    watching = watch()
    assert watching.next("instance-running")["id"] == first
    cloud.mark(first)
    notice = watching.next("interrupted")
    assert (notice["stage"], notice["instance"]) == ("notice", first)
    assert notice["reason"].startswith("marked-for-termination: ")
    cloud.scenario(capacity=[{"region": "us-east-1", "calls": 1}])
    cloud.end(first, "us-east-1", "Server.SpotInstanceTermination")
    assert watching.next("instance-state-changed")["state_reason"] == "Server.SpotInstanceTermination"
    assert watching.next("interrupted")["stage"] == "terminated"
    assert watching.next("launch-rejected")["code"] == "InsufficientInstanceCapacity"
    assert watching.next("relaunched")["replaced"] == [first]
    second = watching.next("instance-running")
    region, second = second["zone"][:-1], second["id"]
    assert second != first
    assert [r["id"] for r in lab.status()] == [second]
    cloud.client("ec2", region).terminate_instances(InstanceIds=[second])
    events = watching.rest()
    assert [event["event"] for event in events] == ["instance-state-changed", "experiment-ended"], (
        "the refusal is told once; nobody's hand is AWS"
    )
    assert len(cloud.calls("RunInstances")) == 3


def test_what_is_put_back_has_the_parameters_that_were_chosen_and_what_the_file_says_by_now(lab, cloud, watch):
    parameters = "[parameters]\nlr = 0.1\nseed = 1\n"
    lab.write("experiments/demo.toml", f"{SPOT}on_interruption = 'relaunch'\n{parameters}")
    first = next(event for event in lab.launch(PARAMS="lr=0.3").events if event["event"] == "instance-running")["id"]
    watching = watch()
    watching.next("instance-running")
    lab.write("experiments/demo.toml", f'{SPOT}on_interruption = "relaunch"\nttl = "2h"\n{parameters}')
    cloud.end(first, "us-east-1", "Server.SpotInstanceTermination")
    watching.next("relaunched")
    before, after = [r["annotation"]["run"]["experiment"] for r in lab.records() if "run" in r.get("annotation", {})]
    assert before["parameters"] == after["parameters"] == {"lr": "0.3", "seed": 1}
    assert ("ttl" in before, after["ttl"]) == (False, "2h")


def test_an_instance_whose_command_had_ended_by_itself_is_not_relaunched(lab, cloud, watch):
    cloud.client("iam", "us-east-1").create_instance_profile(InstanceProfileName="writer")
    (s3 := cloud.client("s3", "us-east-1")).create_bucket(Bucket="lab-runs")
    run = "command = 'train'\nartifact_uri = 's3://lab-runs'\ninstance_profile = 'writer'\n"
    lab.write("experiments/demo.toml", f"{SPOT}on_interruption = 'relaunch'\n{run}")
    instance = launched(lab)
    watching = watch()
    watching.next("instance-running")
    told = {"exit_code": 3, "at": "2026-11-24T10:00:00Z"}
    s3.put_object(Bucket="lab-runs", Key=f"demo/{instance}/ended.json", Body=json.dumps(told).encode())
    cloud.end(instance, "us-east-1", "Server.SpotInstanceTermination")
    assert watching.rest()[-1]["exit_code"] == 3
    assert len(cloud.calls("RunInstances")) == 1


def test_without_relaunch_it_tells_why_and_ends(lab, cloud, watch):
    lab.write("experiments/demo.toml", SPOT)
    first = launched(lab)
    watching = watch()
    watching.next("instance-running")
    cloud.end(first, "us-east-1", "Server.SpotInstanceTermination")
    events = watching.rest()
    assert [event["event"] for event in events] == ["instance-state-changed", "interrupted", "experiment-ended"]
    assert (events[0]["state"], events[0]["state_reason"]) == ("terminated", "Server.SpotInstanceTermination")
    assert events[1]["reason"].startswith("instance-terminated-no-capacity: ")
    assert lab.status() == []


def test_what_can_not_be_put_back_is_said_and_ends_the_watch(lab, cloud, watch):
    lab.write("experiments/demo.toml", SPOT + "on_interruption = 'relaunch'\n")
    first = launched(lab)
    watching = watch()
    watching.next("instance-running")
    cloud.scenario(capacity=[{}])
    cloud.end(first, "us-east-1", "Server.SpotInstanceTermination")
    assert "could not be relaunched: demo: no instance was available" in watching.next("warning")["message"]
    assert watching.rest()[-1]["event"] == "experiment-ended"


def test_what_is_put_back_and_lets_nobody_in_is_watched_all_the_same(lab, cloud, watch, tmp_path):
    """A launch that saw nobody log in exits with 1, and what it launched runs."""
    lab.write("experiments/demo.toml", SPOT + "on_interruption = 'relaunch'\n")
    lab.write("lab.toml", 'regions = ["us-east-1"]\n[ssh]\nboot_timeout = "1s"\n')
    lab.write("members/alice.toml", f'keys = ["{KEY}"]\n')
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -o ProxyCommand=false "$@"\n')
    ssh.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    variables = {"HOME": str(tmp_path), "PATH": path, "MEMBER": "alice", "SSH_AUTH_SOCK": ""}
    ended = lab.launch(**variables)
    first = next(event for event in ended.events if event["event"] == "instance-running")["id"]
    assert (ended.code, ended.events[-1]["event"]) == (1, "ssh-ready")
    assert "demo keeps running: `make ssh EXP=demo` logs in, `make teardown EXP=demo` deletes it" in ended.error
    watching = watch(**variables)
    watching.next("instance-running")
    cloud.end(first, "us-east-1", "Server.SpotInstanceTermination")
    assert "demo keeps running: " in watching.next("warning")["message"]
    assert watching.next("relaunched")["replaced"] == [first]


def test_a_teardown_is_not_held_up_by_a_watch_and_ends_it_without_putting_anything_back(lab, cloud, watch):
    lab.write("experiments/demo.toml", SPOT + "on_interruption = 'relaunch'\n")
    launched(lab)
    watching = watch()
    watching.next("instance-running")
    assert lab.teardown().code == 0
    watching.next("experiment-ended")
    assert len(cloud.calls("RunInstances")) == 1


def test_a_launch_in_another_terminal_is_followed_from_its_refusals_to_its_instance(lab, cloud, watch):
    lab.write(
        "experiments/demo.toml", 'instance_types = ["g5.xlarge"]\ncapacity_timeout = "5m"\nzones = ["us-east-1a"]\n'
    )
    cloud.scenario(capacity=[{}])
    launching = lab.start("launch", EXP="demo")
    wait_until(lambda: cloud.calls("RunInstances"))
    watching = watch()
    refused = watching.next("launch-rejected")
    assert (refused["code"], refused["instance_type"]) == ("InsufficientInstanceCapacity", "g5.xlarge")
    cloud.scenario()
    running = watching.next("instance-running")
    with in_quick_motion(cloud):
        launching.communicate(timeout=60)
    assert [r["id"] for r in lab.status()] == [running["id"]]


def test_a_region_that_does_not_answer_for_a_while_is_said_once_and_waited_for(lab, cloud, watch):
    lab.write("experiments/demo.toml", 'instance_types = ["g5.xlarge"]\n')
    instance = launched(lab)
    watching = watch()
    watching.next("instance-running")
    cloud.scenario(faults=[{"action": "DescribeInstances", "code": "RequestLimitExceeded", "times": 11}])
    assert "us-east-1 can't be queried now (throttled (RequestLimitExceeded))" in watching.next("warning")["message"]
    cloud.scenario()
    cloud.client("ec2", "us-east-1").terminate_instances(InstanceIds=[instance])
    events = watching.rest()
    assert [event["event"] for event in events] == ["instance-state-changed", "experiment-ended"]


def test_where_spot_requests_may_not_be_described_that_is_said_and_the_watch_goes_on(lab, cloud, watch):
    lab.write("experiments/demo.toml", SPOT)
    launched(lab)
    cloud.scenario(faults=[{"action": "DescribeSpotInstanceRequests", "code": "UnauthorizedOperation"}])
    watching = watch()
    assert "no notice of spot interruptions" in watching.next("warning")["message"]
    assert lab.teardown().code == 0
    assert watching.rest()[-1]["event"] == "experiment-ended"
    assert len(cloud.calls("DescribeSpotInstanceRequests")) == 1


def test_data_that_loads_is_shown_until_all_is_there(lab, cloud, watch):
    cloud.scenario(initialization_seconds=100)
    lab.write(
        "experiments/demo.toml", 'instance_types = ["g5.xlarge"]\n[[data]]\ndataset = "speech"\nmount = "/data"\n'
    )
    instance = launched(lab)
    watching = watch()
    assert watching.next("run-progress")["loaded"][0].endswith("%")
    assert watching.next("data-loaded")["instance"] == instance
    asked = len(cloud.calls("DescribeVolumeStatus"))
    assert lab.teardown().code == 0
    watching.rest()
    assert len(cloud.calls("DescribeVolumeStatus")) == asked, "no more of what is there"


def test_a_look_at_many_instances_is_one_call(lab, cloud, watch):
    lab.write("experiments/demo.toml", SPOT)
    assert lab.launch(COUNT="4").code == 0
    before = len(cloud.calls("DescribeInstances"))
    watching = watch()
    for _ in range(4):
        watching.next("instance-running")
    assert len(cloud.calls("DescribeInstances")) <= before + 2
    assert len(cloud.calls("DescribeSpotInstanceRequests")) <= 2


def test_a_command_that_ended_is_told_with_its_code_also_of_an_instance_that_took_itself_away(lab, cloud, watch):
    s3 = cloud.client("s3", "us-east-1")
    s3.create_bucket(Bucket="lab-runs")
    cloud.client("iam", "us-east-1").create_instance_profile(InstanceProfileName="writer")
    run = 'command = "false"\nartifact_uri = "s3://lab-runs"\ninstance_profile = "writer"\nttl = "2h"\n'
    lab.write("experiments/demo.toml", 'instance_types = ["g5.xlarge"]\n' + run)
    instance = launched(lab)
    watching = watch()
    watching.next("instance-running")
    s3.put_object(Bucket="lab-runs", Key=f"demo/{instance}/log/{0:020}", Body=b"epoch 1\nepoch 2\n")
    progress = watching.next("run-progress")
    assert progress["line"] == "epoch 2"
    assert 6000 < progress["seconds_left"] <= 7200
    s3.put_object(Bucket="lab-runs", Key=f"demo/{instance}/ended.json",
                  Body=b'{"exit_code": 3, "at": "2026-11-24T10:00:00Z"}')  # fmt: skip
    cloud.client("ec2", "us-east-1").terminate_instances(InstanceIds=[instance])
    events = watching.rest()
    assert {(e["instance"], e["exit_code"]) for e in events if e["event"] == "command-exited"} == {(instance, 3)}
    assert events[-1]["exit_code"] == 3
    assert [r["annotation"]["exited"] for r in lab.records() if "exited" in r.get("annotation", {})] == [
        {"exit_code": 3}
    ]


def test_ctrl_c_leaves_and_nothing_else(lab, watch):
    lab.write("experiments/demo.toml", SPOT + "on_interruption = 'relaunch'\n")
    instance = launched(lab)
    watching = watch()
    watching.next("instance-running")
    watching.process.send_signal(signal.SIGINT)
    assert watching.process.wait(30) == 130
    assert watching.process.stderr.read() == "", "that is how one leaves it"
    assert [r["id"] for r in lab.status()] == [instance]


def test_ctrl_c_at_a_terminal_is_the_way_out_of_a_watch(lab):
    instance = launched(lab)
    left = run_on_terminal(lab, "watch", EXP="demo", interrupted_at=f"{instance} running")
    assert left.code == 0
    shown = [line for line in left.lines if line and not line.startswith("local cloud")]
    assert len(shown) == 1, shown
    line = shown[0]
    assert line.startswith(f"demo: {instance} runs (")


def test_what_does_not_live_can_not_be_watched(lab):
    ended = lab.run("watch", EXP="demo")
    assert ended.code == 1
    assert ended.error == "error: demo: no live instance; `make launch EXP=demo` launches it"


def test_what_would_pass_a_budget_is_not_put_back(lab, cloud, watch):
    lab.write("experiments/demo.toml", SPOT + "on_interruption = 'relaunch'\n")
    first = launched(lab)
    watching = watch()
    watching.next("instance-running")
    lab.write("experiments/demo.toml", SPOT + "on_interruption = 'relaunch'\nbudget = 0.01\n")
    cloud.end(first, "us-east-1", "Server.SpotInstanceTermination")
    told = watching.rest()
    assert any("would be over budget by" in event.get("message", "") for event in told)
    assert len(cloud.calls("RunInstances")) == 1


def test_secrets_that_a_relaunch_would_lack_are_named_at_once_and_then_nothing_is_launched(lab, cloud, watch):
    secrets = "command = 'train'\n[secrets]\nHF_TOKEN = 'env:HUB'\n"
    lab.write("experiments/demo.toml", f"{SPOT}on_interruption = 'relaunch'\n{secrets}")
    assert lab.launch(HUB="correct-horse").code == 0
    (instance,) = lab.status()
    watching, missing = watch(), "demo: secrets: not set in this command's environment: HUB (export HUB=…)"
    assert watching.next("warning")["message"] == f"an interrupted instance could not be relaunched: {missing}"
    cloud.end(instance["id"], instance["region"], "Server.SpotInstanceTermination")
    assert watching.next("warning", message=f"demo: could not be relaunched: {missing}")
    assert len(cloud.calls("RunInstances")) == 1
