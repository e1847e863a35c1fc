"""When instances end by themselves is tagged at the launch, shown by status, set again by extend and by a start."""

from datetime import UTC, datetime, timedelta

import pytest


@pytest.fixture
def running(lab):
    """A lab whose experiment runs with a ttl and an idle."""
    lab.write("experiments/demo.toml", 'instance_types = ["c6i.large"]\nttl = "12h"\nidle_timeout = "30m"\n')
    assert lab.launch().code == 0
    return lab


def instance(lab):
    (found,) = [line for line in lab.status() if line["resource_type"] == "instance"]
    return found


def hours_left(lab):
    return (datetime.fromisoformat(instance(lab)["ends"]) - datetime.now(UTC)) / timedelta(hours=1)


def set_end_that_passes(lab, cloud):
    """Let the instance end a moment after its launch, and live for six hours from a start that comes later."""
    found = instance(lab)
    ends = datetime.fromisoformat(found["since"]) + timedelta(milliseconds=1)
    tag(cloud, found["id"], **{"expires-at": ends.isoformat(), "ttl": "6h"})
    return found["id"]


def tag(cloud, instance, **tags):
    listed = [{"Key": f"lab:{key}", "Value": value} for key, value in tags.items()]
    cloud.client("ec2", "us-east-1").create_tags(Resources=[instance], Tags=listed)


def test_a_launch_tags_lengths_and_status_shows_what_is_left(running, cloud):
    (call,) = cloud.calls("RunInstances")
    assert "20" not in [value for key, value in call["params"].items() if value in ("12h", "30m")]
    assert hours_left(running) == pytest.approx(12, abs=0.1)
    assert instance(running)["idle"] == "30m"
    table = running.run("status").out
    assert "left" in table
    assert "11h59m or idle 30m" in table


def test_an_instance_that_outlives_its_end_is_shown_as_overdue(running, cloud):
    tag(cloud, instance(running)["id"], **{"expires-at": "2026-01-01T00:00:00Z", "ttl": ""})
    assert instance(running)["overdue"] is True
    assert "overdue by" in running.run("status").out


def test_an_end_is_set_again_told_with_the_one_before_and_recorded(running):
    ended = running.run("ttl_set", EXP="demo", TTL="4h")
    assert ended.code == 0, ended.err
    assert "4h from now (before: 20" in ended.out
    assert "it still terminates after 30m without work" in ended.out
    assert hours_left(running) == pytest.approx(4, abs=0.1)
    (note,) = [r["annotation"]["expiry_set"] for r in running.records() if "expiry_set" in r.get("annotation", {})]
    assert note["ends"] == instance(running)["ends"]
    (event,) = running.run("ttl_set", EXP="demo", TTL="8h", JSON="1").events
    assert event["previous"] == note["ends"]
    assert event["id"] == instance(running)["id"]


def test_one_without_a_ttl_gets_one_and_one_with_loses_it_only_by_name(lab):
    lab.write("experiments/demo.toml", 'instance_types = ["c6i.large"]\n')
    assert lab.launch("demo", COUNT="2").code == 0
    assert all("ends" not in line for line in lab.status())
    assert lab.run("ttl_set", EXP="demo", TTL="2h").out.count("before: no expiry") == 2
    assert all(line["remaining"].startswith("1h59") for line in lab.status())
    ended = lab.run("ttl_set", EXP="demo", TTL="never")
    assert ended.out.count("no longer has a ttl, and is billed until somebody terminates it") == 2
    assert all((line["remaining"], line["ends"]) == ("no end", "never") for line in lab.status())


@pytest.mark.parametrize(
    ("ttl", "said"),
    [
        ("", "TTL: how long from now? (TTL=4h; TTL=never"),
        ("soon", "TTL: 'soon' is not a duration"),
        ("30s", "is too short"),
        ("9999999999d", "longer than time is counted"),
        ("99999d", "use TTL=never"),
    ],
)
def test_what_is_no_length_is_refused_before_anything_is_asked(lab, cloud, ttl, said):
    ended = lab.run("ttl_set", EXP="demo", TTL=ttl)
    assert ended.code == 1
    assert said in ended.error
    assert cloud.calls() == []


def test_what_does_not_run_keeps_its_end(running):
    assert running.run("stop", EXP="demo").code == 0
    ended = running.run("ttl_set", EXP="demo", TTL="4h")
    assert ended.code == 1
    assert "does not run" in ended.error
    assert "11h59m if started" in instance(running)["remaining"]


def test_a_start_after_the_end_begins_again_and_writes_that_down(running, cloud):
    assert running.run("stop", EXP="demo").code == 0
    identity = set_end_that_passes(running, cloud)
    assert instance(running)["remaining"].startswith("6h once started")
    started = running.run("start", EXP="demo")
    assert started.code == 0, started.err
    assert f"{identity} at 20" in started.out
    assert "its ttl had expired, and starts again" in started.out
    assert hours_left(running) == pytest.approx(6, abs=0.1)
    (call,) = cloud.calls("CreateTags")
    assert call["params"]["Tag.1.Key"] == "lab:expires-at"
    assert running.run("start", EXP="demo").code == 0
    assert len(cloud.calls("CreateTags")) == 1, "once"


def test_where_a_start_may_not_tag_it_starts_all_the_same(running, cloud):
    assert running.run("stop", EXP="demo").code == 0
    set_end_that_passes(running, cloud)
    cloud.scenario(faults=[{"action": "CreateTags", "code": "UnauthorizedOperation"}])
    started = running.run("start", EXP="demo")
    assert started.code == 0, started.err
    assert "its new expiry is not in its tags" in started.out
    assert instance(running)["state"] == "running"
