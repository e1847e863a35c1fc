"""Where an emulator does not do as AWS does: the command says so in one line, or does without (docs/emulators.md)."""

import pytest

from tests.emulators.test_life import by_hand, instances, tags_of

pytestmark = pytest.mark.emulator
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGn0bR4Kc0GxGJvmCkVYvLuQZzIVpNFNdTyVN1GXnhB8"


@pytest.fixture
def member(lab):
    """A lab with a member."""
    lab.write("members/alice.toml", f'keys = ["{KEY} alice@laptop"]\n')
    return lab


def test_a_plan_goes_without_what_is_not_known_and_makes_no_dry_run_that_would_be_carried_out(lab, emulator):
    ended = lab.run("plan", EXP="demo", JSON="1")
    assert ended.code == 1
    assert [event["excluded"] for event in ended.events if event["event"] == "candidate"] == [None] * 16
    said = ended.err.splitlines()
    assert said[-1].startswith("error: a dry run in us-east-1 is not made: they are carried out")
    assert all("DescribeInstanceTypeOfferings" in line for line in said[:-1])
    assert instances(emulator) == {}


def test_doctor_finds_out_that_dry_runs_are_carried_out_and_goes_on(lab, emulator):
    ended = lab.run("doctor", JSON="1")
    found = {event["finding"]: event for event in ended.events if event["event"] == "check-finding"}
    assert ended.code == 3
    assert found["dry-run-carried-out"]["severity"] == "error"
    assert found["dry-run-carried-out"]["values"]["undo"] == "nothing was changed"
    assert found["identity"]["values"]["account"] == "111122223333"
    assert instances(emulator) == {}


def test_advice_that_cannot_be_given_stops_no_set_up(lab):
    advice = {event["what"] for event in lab.said("setup_aws", "recommendation", YES="1")}
    assert all("the defaults for volumes and metadata are unknown" in what for what in advice)
    assert len(advice) == 2


def test_an_instance_runs_though_its_console_cannot_be_read_and_its_host_key_is_not_trusted(member, emulator):
    member.write("lab.toml", (member.path / "lab.toml").read_text().replace('"0s"', '"10m"'))
    ended = member.well("launch", EXP="demo", MEMBER="alice")
    assert "its set-up was not seen to finish: demo: its console can't be read: GetConsoleOutput" in ended.out
    assert list(instances(emulator)) == ["demo"]
    for script, more in (("ssh", {}), ("ttl_set", {"TTL": "4h"})):
        ended = member.run(script, EXP="demo", MEMBER="alice", **more)
        assert ended.code == 1
        assert ended.err.splitlines()[-1].startswith("error: GetConsoleOutput in us-east-1: InvalidAction")
    assert "trusted-on-first-use" not in member.registry.read_text()


def test_a_copy_without_its_tags_is_no_success(lab, emulator):
    by_hand(emulator, "1")
    ended = lab.run("snapshot_copy", DATASET="speech", REGIONS="us-west-2")
    assert ended.code == 1
    (copied,) = emulator.client("ec2", "us-west-2").describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert tags_of(copied) == {}
    assert f"the copy {copied['SnapshotId']} has no tags, so no launch would find it" in ended.out


def test_a_build_says_that_there_are_no_ebs_direct_apis_and_leaves_nothing(lab, emulator):
    lab.write("recordings/a.txt", "a recording\n")
    ended = lab.run("dataset_build", DATASET="speech", SOURCE="recordings")
    assert ended.code == 1
    assert ended.err.splitlines()[-1] == (
        "error: StartSnapshot in us-east-1: HTTP 400, with neither an error code nor a message"
    )
    assert emulator.client("ec2", "us-east-1").describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def test_what_one_pool_gives_only_in_part_comes_from_the_next_and_all_of_it_is_deleted(lab, emulator):
    lives = lab.said("launch", "instance-running", EXP="demo", COUNT="3")
    assert sorted((one["type"], one["zone"]) for one in lives) == [
        ("g5.12xlarge", "us-east-1a"), ("p4d.24xlarge", "us-east-1a"), ("p4d.24xlarge", "us-west-2a")
    ]  # fmt: skip
    assert len(instances(emulator, "us-west-2")) == 1
    lab.well("teardown", EXP="demo")
    assert (instances(emulator), instances(emulator, "us-west-2")) == ({}, {})


def test_an_image_with_another_root_device_is_refused_and_rolled_back(lab, emulator):
    lab.write("lab.toml", (lab.path / "lab.toml").read_text().replace("/dev/xvda", "/dev/sda1"))
    ended = lab.run("launch", EXP="demo")
    assert ended.code == 1
    assert ended.error.endswith('is /dev/sda1, the image has /dev/xvda (try device = "/dev/xvda")')
    assert instances(emulator) == {}
