"""A kept volume says why and until when; after that day it is wrong, with what can be done about it."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.deletion_policy import Disposition
from ec2lab.volumes.retention import Retention, marks

TODAY = date(2026, 11, 24)
HERE = "us-east-1"
EXPERIMENT = """
instance_types = ["c6i.large"]
[[scratch]]
mount = "/scratch"
size_gib = 100
deletion_policy = "retain"
retain_for = "30d"
reason = "until the paper is out"
"""
words = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=40).filter(
    lambda text: text == text.strip()
)


@given(st.integers(1, 3650), words)
def test_what_an_experiment_says_is_what_the_tags_tell(days, reason):
    kept = Retention.read(marks(Disposition.parse(f"retain {days}d {reason}"), "speech", TODAY))
    last = TODAY + timedelta(days=days)
    assert kept == Retention(TODAY, "speech", last, reason)
    assert not kept.is_over(last)
    assert kept.is_over(last + timedelta(days=1))


@pytest.mark.parametrize(
    ("tags", "until", "shown"),
    [
        (
            {"lab:retained": "2026-11-01 after speech"},
            date(2026, 12, 1),
            "until 2026-12-01: no reason given (since 2026-11-01",
        ),
        (
            {"lab:retained": "yes"},
            None,
            "until an unknown day: no reason given (nobody knows since when)",
        ),
        (
            {"lab:retained": "2026-11-01 after a", "lab:retain-until": "later"},
            None,
            "until an unknown day",
        ),
    ],
)
def test_one_of_an_earlier_version_has_thirty_days_and_one_that_nobody_can_read_none(tags, until, shown):
    kept = Retention.read(tags)
    assert kept.until == until
    assert str(kept).startswith(shown)
    assert kept.is_over(TODAY) is (until is None)


def test_a_teardown_of_an_instance_of_an_earlier_version_keeps_too():
    assert Retention.read(marks(Disposition.parse("retain"), "speech", TODAY)) == Retention(
        TODAY, "speech", date(2026, 12, 24), "no reason given"
    )


@pytest.fixture
def kept(lab, cloud):
    """The id of a volume that a teardown kept, in a lab of one region."""
    lab.write("lab.toml", f'regions = ["{HERE}"]\n')
    lab.write("experiments/demo.toml", EXPERIMENT)
    assert lab.launch().code == 0
    assert lab.teardown().code == 0
    (volume,) = cloud.client("ec2", HERE).describe_volumes()["Volumes"]
    return volume["VolumeId"]


def tags(cloud, volume):
    found = cloud.client("ec2", HERE).describe_volumes(VolumeIds=[volume])["Volumes"][0]["Tags"]
    return {tag["Key"]: tag["Value"] for tag in found}


def let_pass(cloud, volume):
    """Let the day be over."""
    listed = [{"Key": "lab:retain-until", "Value": "2026-01-01"}]
    cloud.client("ec2", HERE).create_tags(Resources=[volume], Tags=listed)


def in_days(days):
    return str(datetime.now(UTC).date() + timedelta(days=days))


def test_before_its_day_it_is_listed_after_it_it_is_wrong_and_the_remedies_are_named(lab, cloud, kept):
    assert tags(cloud, kept)["lab:retain-until"] == in_days(30)
    listed = lab.run("audit", REGIONS=HERE)
    assert listed.code == 0, listed.err
    assert f"until {in_days(30)}: until the paper is out" in listed.out
    let_pass(cloud, kept)
    wrong = lab.run("audit", REGIONS=HERE)
    assert wrong.code == 3
    assert "1 retention-expired: 8.00 dollars a month" in wrong.out
    assert f"`make volume-retain VOLUME={kept} RETAIN_FOR=30d`" in wrong.out
    assert f"`make volume-delete VOLUME={kept} YES=1`" in wrong.out
    events = lab.run("audit", REGIONS=HERE, JSON="1", FIX="1").events
    (finding,) = [event for event in events if event["event"] == "audit-finding"]
    assert (finding["finding"], finding["retain_until"]) == ("retention-expired", "2026-01-01")
    assert finding["retain_reason"] == "until the paper is out"
    assert tags(cloud, kept), "FIX deletes no kept volume"


def test_a_teardown_and_status_say_what_it_costs_and_what_deletes_it_until_it_is_gone(lab, cloud, kept):
    lines = (
        f"  retained: {kept} ({HERE}), 100 GiB: 8.00 dollars a month\n"
        f"    until {in_days(30)}: until the paper is out (since {in_days(0)}, after demo)\n"
        f"    `make volume-delete VOLUME={kept} YES=1` deletes it\n"
    )
    for told in (
        lab.run("status").out,
        lab.run("teardown", EXP="demo").out,
        lab.run("teardown", EXP="de*").out,
    ):
        assert lines in told
    assert "retained volumes, datasets and others: 8." in lab.run("status").out
    cloud.client("ec2", HERE).delete_volume(VolumeId=kept)
    cloud.advance(600)
    assert lab.run("status").out == "no live resources\n"
    assert lab.run("cost", JSON="1").events[0]["dollars_per_hour"] == 0


def test_it_is_kept_for_longer_or_deleted_after_it_was_shown(lab, cloud, kept):
    let_pass(cloud, kept)
    longer = lab.run("volume_retain", VOLUME=kept, RETAIN_FOR="60d")
    assert longer.code == 0, longer.err
    assert f"is retained until {in_days(60)}: until the paper is out" in longer.out
    assert lab.run("audit", REGIONS=HERE).code == 0
    other = lab.run("volume_retain", VOLUME=kept, RETAIN_FOR="10d", REASON="for the appendix")
    assert f"until {in_days(10)}: for the appendix" in other.out
    shown = lab.run("volume_delete", VOLUME=kept)
    assert (shown.code, shown.err) == (0, "")
    assert "100 GiB, retained until" in shown.out
    assert "nothing was deleted; run again with YES=1 to delete it and its data" in shown.out
    assert lab.run("volume_delete", VOLUME=kept, YES="1").code == 0
    assert cloud.client("ec2", HERE).describe_volumes()["Volumes"] == []


def test_what_was_not_kept_is_neither_kept_for_longer_nor_deleted(lab, cloud, kept):
    ec2 = cloud.client("ec2", HERE)
    other = ec2.create_volume(AvailabilityZone=f"{HERE}a", Size=1, VolumeType="gp3")["VolumeId"]
    for script in ("volume_retain", "volume_delete"):
        assert "VOLUME: which one?" in lab.run(script).error
        refused = lab.run(script, VOLUME=other, RETAIN_FOR="30d", YES="1").error
        assert f"{other} was not retained by a teardown: it is not the lab's" in refused
    ec2.create_tags(Resources=[other], Tags=[{"Key": "lab:retained", "Value": "2026-11-24 after demo"}])
    assert "it is not the lab's" in lab.run("volume_delete", VOLUME=other, YES="1").error, "whoever may tag wrote that"
    assert "RETAIN_FOR: 'x' is not a duration" in lab.run("volume_retain", VOLUME=kept, RETAIN_FOR="x").error
    assert "REASON: 'a\\nb'" in lab.run("volume_retain", VOLUME=kept, RETAIN_FOR="3d", REASON="a\nb").error
    assert len(ec2.describe_volumes()["Volumes"]) == 2


def test_one_that_is_in_use_is_not_deleted(lab, cloud, kept):
    ec2 = cloud.client("ec2", HERE)
    image = ec2.describe_images()["Images"][0]["ImageId"]
    zone = ec2.describe_volumes()["Volumes"][0]["AvailabilityZone"]
    (instance,) = ec2.run_instances(
        ImageId=image, MinCount=1, MaxCount=1, InstanceType="c6i.large", Placement={"AvailabilityZone": zone}
    )["Instances"]
    ec2.attach_volume(VolumeId=kept, InstanceId=instance["InstanceId"], Device="/dev/sdf")
    assert "is attached to an instance" in lab.run("volume_delete", VOLUME=kept, YES="1").error
