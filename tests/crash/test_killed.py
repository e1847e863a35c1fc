"""Killed at any boundary of its work, a command loses nothing and makes nothing twice.

Every boundary is tried, one run each: a first run counts them. Afterwards the command is run again, or teardown is, and
the cloud is searched.
"""

import pytest

from tests.crash.killing import alive, gone, killed, registry_is_valid, run

pytestmark = pytest.mark.crash

ASKED = ("us-east-1", "us-west-2")
"""The regions of the lab: the first one refuses."""
SHARES = 6
"""The boundaries are shared out over so many tests, which run at the same time."""
EXPERIMENT = """
types = ["g5.xlarge"]
[[data]]
dataset = "speech"
mount = "/data"
[[scratch]]
mount = "/scratch"
gib = 8
at_teardown = "{at_teardown}"
{named}
"""


def prepare(lab, cloud, at_teardown="delete"):
    cloud.reset()
    cloud.weather(capacity=[{"region": "us-east-1"}])
    lab.registry.unlink(missing_ok=True)
    named = 'dataset = "results"' if at_teardown == "snapshot" else ""
    lab.write("experiments/demo.toml", EXPERIMENT.format(at_teardown=at_teardown, named=named))


@pytest.fixture
def boundaries(lab, cloud, record_property):
    """Counts the boundaries of a script."""

    def count(script, at_teardown="delete"):
        prepare(lab, cloud, at_teardown)
        if script != "launch":
            run(lab, "launch", EXP="demo")
        number = killed(lab, script, 0, EXP="demo")
        assert number > 10
        record_property(f"boundaries of {script}", number)
        return number

    return count


@pytest.mark.parametrize("share", range(SHARES))
def test_a_launch_killed_anywhere_is_gone_on_with_or_torn_down(lab, cloud, boundaries, share):
    for at in range(1 + share, boundaries("launch") + 1, SHARES):
        prepare(lab, cloud)
        assert killed(lab, "launch", at, EXP="demo") is None
        if at % 2:
            run(lab, "launch", EXP="demo")
            assert len(alive(cloud)["instance"]) == 1, f"boundary {at}"
            assert len(alive(cloud)["security-group"]) == len(ASKED), f"boundary {at}: one for each region"
        started = lab.registry.exists() and "RunInstances" in lab.registry.read_text()
        if at % 2 or started:
            run(lab, "teardown", EXP="demo")
            assert registry_is_valid(lab), f"boundary {at}"
        assert gone(cloud) <= len(ASKED), f"boundary {at}"


@pytest.mark.parametrize("share", range(SHARES))
def test_a_teardown_killed_anywhere_is_ended_by_the_next_and_saves_each_volume_once(lab, cloud, boundaries, share):
    for at in range(1 + share, boundaries("teardown", "snapshot") + 1, SHARES):
        prepare(lab, cloud, "snapshot")
        run(lab, "launch", EXP="demo")
        assert killed(lab, "teardown", at, EXP="demo") is None
        run(lab, "teardown", EXP="demo")
        (saved,) = alive(cloud)["snapshot"]
        assert gone(cloud, snapshot=[saved]) == len(ASKED), f"boundary {at}"
        assert registry_is_valid(lab), f"boundary {at}"


def test_the_boundaries_are_many(boundaries):
    """What was counted is shown in the report: `pytest --junitxml`, or -rP."""
    numbers = {script: boundaries(script) for script in ("launch", "teardown")}
    print(f"boundaries tried: {numbers}")
    assert numbers["launch"] > 30
