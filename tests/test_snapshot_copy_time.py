"""Copies take minutes to hours: they go on side by side, are taken up again, and never made twice."""

import json
import signal

import pytest

from tests.test_snapshot_copy import copy, there
from tests.waiting import wait_until

FIVE = "eu-west-1 eu-central-1 eu-north-1 ap-northeast-1 ca-central-1"


def percents(ended, region):
    return [e["percent"] for e in ended.events if e["event"] == "copy-progress" and e["region"] == region]


def test_five_regions_take_as_long_as_the_slowest(lab, cloud):
    seconds = dict.fromkeys(FIVE.split(), 3.0) | {"eu-north-1": 4.0}
    cloud.scenario(copy_seconds=seconds, latency={"ap-northeast-1": 0.2})
    assert copy(lab, FIVE).code == 0
    began = min(call["time"] for call in cloud.calls("CopySnapshot"))
    ended = max(call["time"] for call in cloud.calls("DescribeSnapshots"))
    assert 4.0 <= ended - began < 12.0, "one after the other they take 16 s and more"
    assert all(snapshot["State"] == "completed" for region in FIVE.split() for snapshot in there(cloud, region))


def test_progress_is_told_as_it_grows(lab, cloud):
    cloud.scenario(copy_seconds=2.0)
    told = percents(copy(lab, "eu-west-1"), "eu-west-1")
    assert told == sorted(told)
    assert told[-1] == 100
    assert any(0 < percent < 100 for percent in told)


@pytest.mark.parametrize("wait_for", ["CopySnapshot", "DescribeSnapshots"])
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_left_at_any_point_and_run_again_it_makes_no_second_copy(lab, cloud, ending, wait_for):
    cloud.scenario(copy_seconds=1.5, latency=0.1)
    running = lab.start("snapshot_copy", DATASET="speech", REGIONS="eu-west-1 eu-central-1", JSON="1")
    wait_until(lambda: cloud.calls(wait_for))
    running.send_signal(ending)
    running.communicate(timeout=30)
    assert copy(lab, "eu-west-1 eu-central-1").code == 0
    for region in ("eu-west-1", "eu-central-1"):
        assert len(there(cloud, region)) == 1


@pytest.mark.parametrize("kind", ["reset-before", "reset-after", "truncated", "html-503"])
def test_an_answer_that_was_lost_makes_no_second_copy(lab, cloud, kind):
    cloud.scenario(faults=[{"action": "CopySnapshot", "kind": kind, "times": 2}])
    assert copy(lab, "eu-west-1").code == 0
    assert len(there(cloud, "eu-west-1")) == 1


def test_the_limit_of_copies_at_a_time_is_waited_out(lab, cloud):
    cloud.scenario(faults=[{"action": "CopySnapshot", "code": "ResourceLimitExceeded", "times": 1}])
    ended = copy(lab, "eu-west-1")
    assert ended.code == 0
    assert any(
        "too many at once (ResourceLimitExceeded)" in e["waiting_for"]
        for e in ended.events
        if e["event"] == "copy-progress"
    )
    assert len(there(cloud, "eu-west-1")) == 1


def test_a_guaranteed_time_is_asked_for_in_minutes(lab, cloud):
    assert copy(lab, "eu-west-1", COMPLETE_WITHIN="2h").code == 0
    (call,) = cloud.calls("CopySnapshot")
    assert call["params"]["CompletionDurationMinutes"] == "120"


def test_a_key_of_the_wrong_region_makes_the_copy_fail_with_awss_words_and_a_later_one_is_made(lab, cloud):
    key = "arn:aws:kms:{}:123456789012:key/0b1f7a52-52c5-4c0f-9d0f-0c4c1e7f5a10"
    lab.write("lab.toml", f'regions = ["us-east-1"]\n[kms_keys]\neu-west-1 = "{key.format("us-east-1")}"\n')
    ended = copy(lab, "eu-west-1")
    assert ended.code == 1
    assert any("not accessible" in event["failure"] for event in ended.events if event["event"] == "copy-progress")
    lab.write("lab.toml", f'regions = ["us-east-1"]\n[kms_keys]\neu-west-1 = "{key.format("eu-west-1")}"\n')
    assert copy(lab, "eu-west-1").code == 0
    states = sorted(snapshot["State"] for snapshot in there(cloud, "eu-west-1"))
    assert states == ["completed", "error"]
    pruned = lab.run("dataset_prune", KEEP_LAST="1", YES="1", REGIONS="eu-west-1")
    assert pruned.code == 0, pruned.err
    assert [snapshot["State"] for snapshot in there(cloud, "eu-west-1")] == ["completed"], "what failed is cleared away"


def test_a_launch_says_how_far_the_copy_is(lab, cloud):
    cloud.scenario(copy_seconds=60.0)
    running = lab.start("snapshot_copy", DATASET="speech", REGIONS="eu-west-1", JSON="1")
    running.stdout.readline()
    running.kill()
    running.communicate()
    lab.write("lab.toml", 'regions = ["eu-west-1"]\n')
    ended = lab.launch()
    assert ended.code == 1
    assert "dataset speech is not complete yet in eu-west-1 (snap-" in ended.error


def test_a_wait_outlives_answers_that_are_lost(lab, cloud):
    cloud.scenario(
        copy_seconds=2.0,
        faults=[{"action": "DescribeSnapshots", "region": "eu-west-1", "code": "RequestLimitExceeded", "skip": 2,
                 "times": 6}],
    )  # fmt: skip
    assert copy(lab, "eu-west-1").code == 0


def test_a_copy_that_somebody_deletes_is_not_waited_for(lab, cloud):
    cloud.scenario(copy_seconds=60.0)
    running = lab.start("snapshot_copy", DATASET="speech", REGIONS="eu-west-1", JSON="1")
    for line in running.stdout:
        if json.loads(line)["percent"]:
            break
    (snapshot,) = there(cloud, "eu-west-1")
    cloud.client("ec2", "eu-west-1").delete_snapshot(SnapshotId=snapshot["SnapshotId"])
    told, error = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "it no longer exists in AWS; somebody deleted it" in json.loads(told.splitlines()[-1])["failure"]
    assert "not copied to eu-west-1" in error
