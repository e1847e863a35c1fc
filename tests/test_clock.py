"""A clock that is wrong: by minutes it does no harm, by more it is named."""

import re
from datetime import timedelta

import pytest

from ec2lab.registry.record import parse_time
from tests.live_resources import living_in


@pytest.mark.parametrize(("skew", "direction"), [(400, "behind"), (-4000, "ahead of")])
def test_a_clock_that_is_too_wrong_is_named_with_how_much(lab, cloud, skew, direction):
    cloud.scenario(clock_skew=skew)
    ended = lab.launch()
    assert ended.code == 1
    assert "RequestExpired" in ended.error
    (seconds,) = re.findall(rf"this computer's clock is (\d+) s {direction} AWS's", ended.error)
    assert int(seconds) == pytest.approx(abs(skew), abs=60), "a slow computer answers a while after it was asked"


@pytest.mark.parametrize("skew", [-280, 280])
def test_one_that_is_off_by_minutes_delays_nothing_and_forgets_nothing(lab, cloud, skew):
    cloud.scenario(clock_skew=skew, invisible=1.0)
    assert lab.launch().code == 0
    cloud.scenario(clock_skew=skew)
    assert lab.teardown().code == 0
    assert [living_in(cloud, "us-east-1", kind) for kind in ("instance", "volume")] == [[], []]


def test_records_of_a_clock_that_was_set_back_since_hold_nothing_up(lab, cloud):
    """Two hours, as where one system takes local time for UTC: what is gone is known to be within seconds."""
    assert lab.launch().code == 0
    (region,) = {thing["region"] for thing in cloud.inventory() if thing["kind"] == "instance"}
    (instance,) = living_in(cloud, region, "instance")
    later = lambda found: f'"time":"{parse_time(found[1]) + timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}"'  # noqa: E731
    lab.registry.write_text(re.sub(r'"time":"([^"]+)"', later, lab.registry.read_text()))
    cloud.client("ec2", region).terminate_instances(InstanceIds=[instance["InstanceId"]])
    began = cloud.ask("GET", "calls")[-1]["time"]
    assert lab.teardown().code == 0
    assert cloud.ask("GET", "calls")[-1]["time"] - began < 100
