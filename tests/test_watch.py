"""Watch tells what becomes of a machine, and puts back what AWS takes away."""

import json
import threading

import pytest

SPOT = 'types = ["g5.xlarge"]\nmarkets = ["spot"]\n'


class Watching:
    """A watch in a process of its own, its events as they come."""

    def __init__(self, lab):
        self.process = lab.start("watch", EXP="demo", JSON="1")
        self.alarm = threading.Timer(60, self.process.kill)
        self.alarm.start()

    def next(self, name):
        """Return the next event of that name."""
        for line in self.process.stdout:
            event = json.loads(line)
            if event["event"] == name:
                return event
        raise AssertionError(f"the watch ended without {name}: {self.process.stderr.read()}")

    def end(self):
        self.alarm.cancel()
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def watch(lab):
    """Return a function that begins to watch the demo."""
    begun = []

    def begin():
        begun.append(Watching(lab))
        return begun[-1]

    yield begin
    for watching in begun:
        watching.end()


def launched(lab):
    return next(event for event in lab.launch().events if event["event"] == "lives")["id"]


def test_a_spot_machine_that_aws_takes_is_put_back_if_the_experiment_says_so(lab, cloud, watch):
    lab.write("experiments/demo.toml", SPOT + "relaunch = true\n")
    first = launched(lab)
    watching = watch()
    assert watching.next("state") == {"event": "state", "id": first, "state": "running"}
    cloud.end(first, "us-east-1", "Server.SpotInstanceTermination")
    assert watching.next("state")["state"] == "terminated (Server.SpotInstanceTermination)"
    second = watching.next("lives")["id"]
    assert second != first
    assert watching.next("state")["id"] == second
    assert [r["id"] for r in lab.status()] == [second]


def test_without_relaunch_it_tells_why_and_ends(lab, cloud, watch):
    lab.write("experiments/demo.toml", SPOT)
    first = launched(lab)
    watching = watch()
    watching.next("state")
    cloud.end(first, "us-east-1", "Server.SpotInstanceTermination")
    assert watching.next("state")["state"] == "terminated (Server.SpotInstanceTermination)"
    watching.next("ended")
    assert watching.process.wait(30) == 0
    assert lab.status() == []


def test_a_teardown_is_not_held_up_by_a_watch_and_ends_it_without_putting_anything_back(lab, cloud, watch):
    lab.write("experiments/demo.toml", SPOT + "relaunch = true\n")
    launched(lab)
    watching = watch()
    watching.next("state")
    assert lab.teardown().code == 0
    watching.next("ended")
    assert len(cloud.calls("RunInstances")) == 1


def test_what_does_not_live_can_not_be_watched(lab):
    ended = lab.run("watch", EXP="demo")
    assert ended.code == 1
    assert ended.error == "error: demo: nothing lives; `make launch EXP=demo` launches it"


def test_what_would_pass_a_budget_is_not_put_back(lab, cloud, watch):
    lab.write("experiments/demo.toml", SPOT + "relaunch = true\n")
    first = launched(lab)
    watching = watch()
    watching.next("state")
    lab.write("experiments/demo.toml", SPOT + "relaunch = true\nbudget = 0.01\n")
    cloud.end(first, "us-east-1", "Server.SpotInstanceTermination")
    watching.next("state")
    assert "would pass the budget of 0.01 dollars in all by" in watching.process.stderr.read()
    assert len(cloud.calls("RunInstances")) == 1
