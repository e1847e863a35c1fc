"""When an instance ends: what status tells is what the instance does, over stops, starts and new ends."""

import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.aws.tags import EXPIRES_AT, TTL, to_aws
from ec2lab.instances.ttl import NEVER, at_boot
from ec2lab.resources.expiry import as_text, expires_at, expiry_details, is_overdue, left, restarted_expiry

LAUNCHED = datetime(2026, 11, 24, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


def instance(ttl="12h", ends=None, started=LAUNCHED, attached=LAUNCHED, idle=None):
    tags = {TTL: ttl, EXPIRES_AT: ends, "lab:idle": idle}
    return {
        "LaunchTime": started,
        "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"AttachTime": attached}}],
        "NetworkInterfaces": [{"Attachment": {"AttachTime": attached}}],
        "Tags": to_aws({key: value for key, value in tags.items() if value}),
    }


@pytest.mark.parametrize(
    ("described", "ends"),
    [
        (instance(), LAUNCHED + 12 * HOUR),
        (instance(ttl=None), None),
        (instance(started=LAUNCHED + 3 * HOUR), LAUNCHED + 12 * HOUR),
        (instance(started=LAUNCHED + 20 * HOUR), LAUNCHED + 32 * HOUR),
        (instance(ends="2026-11-25T04:00:00Z"), LAUNCHED + 18 * HOUR),
        (instance(ttl="4h", ends="2026-11-24T14:00:00Z", started=LAUNCHED + 5 * HOUR), LAUNCHED + 9 * HOUR),
        (instance(ends="never"), None),
        (instance(ttl="soon"), None),
        (instance(ends="tomorrow"), LAUNCHED + 12 * HOUR),
        ({"LaunchTime": "2026-11-24T10:00:00+00:00", "Tags": to_aws({TTL: "1h"})}, LAUNCHED + HOUR),
    ],
)
def test_it_ends_its_ttl_after_the_launch_or_as_was_set_and_again_after_a_stop_in_which_that_passed(described, ends):
    assert expires_at(described) == ends


class Real:
    """An instance with the rule of its own boots, and the tags that the lab puts on it."""

    def __init__(self, ttl):
        self.now, self.started, self.length = LAUNCHED, LAUNCHED, ttl
        self.deadline = LAUNCHED + ttl * HOUR
        self.tags = {"ttl": f"{ttl}h", "ends": None}

    def described(self):
        return instance(**self.tags, started=self.started)

    def start_after(self, hours):
        self.now = self.started = self.now + hours * HOUR
        if self.deadline <= self.now:
            self.deadline = self.now + self.length * HOUR
        if again := restarted_expiry(self.described()):
            self.tags["ends"] = as_text(again)

    def extend(self, hours):
        self.length, self.deadline = hours, self.now + hours * HOUR
        self.tags = {"ttl": f"{hours}h", "ends": as_text(self.deadline)}


@given(
    st.integers(1, 30),
    st.lists(st.tuples(st.sampled_from(["start_after", "extend"]), st.integers(1, 50)), max_size=12),
)
def test_through_stops_starts_and_new_ends_the_tags_tell_what_the_instance_does(ttl, deeds):
    real = Real(ttl)
    for deed, hours in deeds:
        getattr(real, deed)(hours)
        assert expires_at(real.described()) == real.deadline
        assert restarted_expiry(real.described()) is None, "what is written down is not written again"


def boot(path, seconds):
    command = at_boot(seconds)
    command[3] = str(path)
    subprocess.run(command, check=True)
    return int(path.read_text().partition("@")[2].split()[0])


def test_a_boot_keeps_a_deadline_that_is_to_come_and_begins_again_after_one_that_passed(tmp_path):
    path = tmp_path / "timer.d/deadline.conf"
    now = datetime.now(UTC).timestamp()
    first = boot(path, 3600)
    assert first - now == pytest.approx(3600, abs=30)
    assert boot(path, 100) == first
    path.write_text("[Timer]\nOnCalendar=@1000\n# 7200\n")
    assert boot(path, 3600) - now == pytest.approx(7200, abs=30), "the length that was last set"
    path.write_text("[Timer]\nOnCalendar=@1000\n")
    assert boot(path, 3600) - now == pytest.approx(3600, abs=30), "of an earlier version of the lab"
    path.write_text(f"[Timer]\nOnCalendar=@{NEVER}\n")
    assert boot(path, 3600) == NEVER


@pytest.mark.parametrize(
    ("described", "state", "hours", "said"),
    [
        (instance(), "running", 8.5, "3h30m"),
        (instance(ttl="7d"), "running", 1, "6d23h"),
        (instance(ttl="30m"), "running", 0.25, "15m"),
        (instance(), "running", 12.01, "ends now"),
        (instance(), "running", 13.5, "overdue by 1h30m"),
        (instance(), "shutting-down", 13.5, ""),
        (instance(), "stopped", 2, "10h00m if started"),
        (instance(), "stopped", 14, "12h once started"),
        (instance(idle="30m"), "running", 2, "10h00m or idle 30m"),
        (instance(ttl=None, idle="30m"), "running", 2, "idle 30m"),
        (instance(ends="never"), "running", 2, "no end"),
        (instance(ends="never", idle="30m"), "running", 2, "idle 30m"),
        (instance(ttl=None), "running", 2, ""),
    ],
)
def test_what_is_left_is_told_in_words(described, state, hours, said):
    now = LAUNCHED + hours * HOUR
    assert left(expiry_details(described), state, now) == said
    assert is_overdue(expiry_details(described), state, now) is said.startswith("overdue")
