"""The cloud's clock goes on when it is told, and all that the cloud does goes by it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest

from local_cloud.clock import Clock
from tests.local_cloud.requests import look, run, state
from tests.local_cloud.test_control import ask

HOUR = timedelta(hours=1)


def launch_time(ec2):
    return look(ec2, run(ec2)[0]["InstanceId"])["LaunchTime"]


def test_what_is_made_an_hour_later_is_an_hour_younger(cloud, ec2):
    early = launch_time(ec2)
    cloud.advance(3600)
    assert HOUR <= launch_time(ec2) - early < 2 * HOUR


def test_what_a_reset_cloud_begins_with_was_not_made_later_than_what_follows(cloud, ec2):
    cloud.advance(3600)
    cloud.reset()
    (first,) = ec2.describe_snapshots(Filters=[{"Name": "tag:lab:dataset", "Values": ["speech"]}])["Snapshots"]
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    assert first["StartTime"] <= ec2.create_snapshot(VolumeId=volume)["StartTime"]


def test_the_date_of_an_answer_goes_with_it(cloud, ec2):
    def date():
        told = ec2.describe_regions()["ResponseMetadata"]["HTTPHeaders"]["date"]
        return parsedate_to_datetime(told)

    early = date()
    cloud.advance(3600)
    assert HOUR <= date() - early < 2 * HOUR


def test_a_volume_loads_and_a_snapshot_is_taken_as_time_passes(cloud, ec2, data_set):
    cloud.scenario(initialization_seconds=1000, snapshot_seconds=1000)
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=data_set)["VolumeId"]
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]

    def progress():
        (loaded,) = ec2.describe_volume_status(VolumeIds=[volume])["VolumeStatuses"]
        (taken,) = ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
        return loaded["InitializationStatusDetails"]["Progress"], taken["State"], int(taken["Progress"].rstrip("%"))

    cloud.advance(300)
    loaded, state, taken = progress()
    assert (30 <= loaded < 60, state, 30 <= taken < 60) == (True, "pending", True)
    cloud.advance(800)
    assert progress() == (100, "completed", 100)


def test_it_is_set_back_when_the_cloud_begins_again_and_never_otherwise(cloud):
    cloud.advance(60)
    assert ask(cloud, "POST", "advance", {"seconds": 1})[1]["ahead"] == pytest.approx(61, abs=0.1)
    assert ask(cloud, "POST", "advance", {"seconds": -1})[0] == 400
    cloud.reset()
    assert ask(cloud, "POST", "advance", {"seconds": 0})[1] == {"ahead": 0}


def test_of_those_who_let_time_pass_together_the_longest_counts(tmp_path):
    ours, theirs = Clock(), Clock()
    for clock in (ours, theirs):
        clock.share(tmp_path / "clock")
    with ThreadPoolExecutor(20) as team:
        list(team.map(lambda number: (ours, theirs)[number % 2].advance(100 * number), range(20)))
    assert ours.ahead == theirs.ahead
    assert ours.ahead > 1900 - 1


@pytest.mark.parametrize("seconds", [0, -1])
def test_no_time_passes_where_none_is_to(seconds):
    clock = Clock()
    clock.advance(seconds)
    assert clock.ahead == 0


def test_one_that_is_stopped_goes_on_by_what_it_is_advanced_alone(cloud, ec2):
    cloud.scenario(pending=60)
    cloud.stop_clock()
    early, identity = launch_time(ec2), run(ec2)[0]["InstanceId"]
    assert launch_time(ec2) == early
    cloud.advance(58)
    assert state(ec2, identity) == "pending"
    cloud.advance(3)
    assert state(ec2, identity) == "running"
    assert launch_time(ec2) - early == timedelta(seconds=61)
    cloud.reset()
    assert launch_time(ec2) > early - timedelta(minutes=1)
    assert Clock().now() < Clock().now()
