"""A build from a bucket makes a version of what was pulled whole, and of nothing else, whenever it is left."""

import pytest

from tests.hosts.instance import appear, let_in
from tests.waiting import wait_until

LAB = 'regions = ["us-east-1"]\n'
SOURCE = {"DATASET": "talks", "SOURCE": "s3://recordings/talks", "SIZE": "4G"}


def versions(lab):
    return lab.run("datasets", DATASET="talks", JSON="1").events


def volumes(cloud):
    return [v for v in cloud.client("ec2", "us-east-1").describe_volumes()["Volumes"] if v["State"] != "deleted"]


def test_a_build_that_is_left_makes_no_version_when_it_is_taken_down(lab, cloud):
    lab.write("lab.toml", LAB)
    ended = lab.run("dataset_build", **SOURCE)  # the local cloud's instances never boot, so the pull is not seen
    assert ended.code == 1
    assert "`make teardown EXP=build-talks` cancels it" in ended.err
    for _ in range(2):  # the first one leaves nothing by which the second took the instance for its own
        other = lab.run("dataset_build", **{**SOURCE, "SOURCE": "s3://recordings/others"})
        assert "build-talks is live, and downloads s3://recordings/talks" in other.error
    assert lab.teardown("build-talks").code == 0
    assert versions(lab) == []
    assert volumes(cloud) == []


def test_an_experiment_of_that_name_is_nobodys_build(lab, cloud):
    lab.write("lab.toml", LAB)
    lab.write("experiments/build-talks.toml", 'instance_types = ["t3.micro"]\n')
    lab.run("dataset_build", **SOURCE)
    assert lab.teardown("build-talks").code == 0
    assert lab.launch("build-talks").code == 0
    for _ in range(2):
        assert "build-talks is live, and is not a dataset build" in lab.run("dataset_build", **SOURCE).error


@pytest.fixture
def building(lab, cloud, host_with_sshd, alice_key):
    """A build that was left while its instance, a host, pulls; (lab, host, variables)."""
    host = host_with_sshd
    lab.write("lab.toml", LAB)
    variables = let_in(lab, host, "alice", alice_key)
    cloud.scenario(pending=600)
    process = lab.start("dataset_build", **SOURCE, **variables)
    instances = wait_until(lambda: [m for m in cloud.inventory() if m["kind"] == "instance"])
    appear(cloud, lab, host, instances[0]["id"], "us-east-1")
    cloud.hurry()
    return lab, host, process, variables


def end(host, code):
    host.write("/var/lib/ec2-lab/instance/ended.json", f'{{"exit_code": {code}, "at": "2026-11-24T10:00:00Z"}}')


def test_a_pull_that_ended_well_becomes_a_version_and_nothing_is_left(building, cloud):
    lab, host, process, _ = building
    end(host, 0)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, out + err
    (version,) = versions(lab)
    assert (version["version"], version["state"]) == ("1", "completed")
    assert lab.status() == []
    assert volumes(cloud) == []


def test_left_while_it_pulls_and_run_again_it_goes_on_with_the_same_instance(building, cloud):
    lab, host, process, variables = building
    for line in process.stdout:
        if line.startswith("  ssh "):
            break
    process.kill()
    process.communicate()
    end(host, 0)
    again = lab.run("dataset_build", **SOURCE, **variables)
    assert again.code == 0, again.out + again.err
    assert "build-talks is already live: waiting for its download" in again.out
    assert len(cloud.calls("RunInstances")) == 1
    assert [version["version"] for version in versions(lab)] == ["1"]


def test_a_pull_that_failed_makes_no_version_and_its_last_words_are_told(building, cloud):
    lab, host, process, _ = building
    host.write("/var/lib/ec2-lab/instance/log", "ec2-lab: PROBLEM: a.wav is missing\n")
    end(host, 1)
    _, err = process.communicate(timeout=90)
    assert process.returncode == 1
    assert "was not downloaded completely: exit code 1: ec2-lab: PROBLEM: a.wav is missing" in err
    assert versions(lab) == []
    assert volumes(cloud) == []
