"""Killed at any boundary of its work, a command loses nothing and creates nothing twice.

One run keeps what a kill leaves at each of its boundaries. From each of these, the command is run again, or teardown
is, and the cloud is searched.
"""

import json

import pytest

from tests.crash.killing import (
    EVEN,
    FULL,
    HIDDEN,
    ODD,
    World,
    alive,
    gone,
    has_recorded,
    killed,
    killed_anywhere,
    registry_is_valid,
    run,
    worlds_at_boundaries,
)

pytestmark = pytest.mark.crash

ASKED = ("us-east-1", "us-west-2")
"""The regions of the lab: the first one refuses."""
EXPERIMENT = """
instance_types = ["g5.xlarge"]
[[data]]
dataset = "speech"
mount = "/data"
[[scratch]]
mount = "/scratch"
size_gib = 8
deletion_policy = "{deletion_policy}"
{named}
"""


def prepare(lab, cloud, script, deletion_policy="delete", hidden=HIDDEN):
    """Let all be as it is before a script."""
    cloud.scenario(invisible=hidden, capacity=[{"region": "us-east-1"}])
    named = 'dataset = "results"' if deletion_policy == "snapshot" else ""
    lab.write("experiments/demo.toml", EXPERIMENT.format(deletion_policy=deletion_policy, named=named))
    if script != "launch":
        run(lab, "launch", EXP="demo")


def test_a_launch_killed_anywhere_is_resumed(lab, cloud):
    prepare(lab, cloud, "launch")
    for boundary in killed_anywhere(lab, cloud, "launch", boundaries=ODD, at_least=30, EXP="demo"):
        run(lab, "launch", EXP="demo")
        assert len(alive(cloud)["instance"]) == 1, boundary
        assert len(alive(cloud)["security-group"]) == len(ASKED), f"{boundary}: one for each region"
        run(lab, "teardown", EXP="demo")
        assert registry_is_valid(lab), boundary
        assert gone(cloud) <= len(ASKED), boundary


def test_a_launch_killed_anywhere_is_torn_down(lab, cloud):
    prepare(lab, cloud, "launch")
    for boundary in killed_anywhere(lab, cloud, "launch", boundaries=EVEN, at_least=30, EXP="demo"):
        if has_recorded(lab, "RunInstances"):
            run(lab, "teardown", EXP="demo")
            assert registry_is_valid(lab), boundary
        assert gone(cloud) <= len(ASKED), boundary


@pytest.mark.parametrize("half", [slice(0, None, 2), slice(1, None, 2)], ids=["odd", "even"])
def test_a_teardown_killed_anywhere_is_ended_by_the_next_and_saves_each_volume_once(lab, cloud, half):
    prepare(lab, cloud, "teardown", "snapshot")
    for boundary in killed_anywhere(lab, cloud, "teardown", boundaries=half, EXP="demo"):
        run(lab, "teardown", EXP="demo")
        (saved,) = alive(cloud)["snapshot"]
        assert gone(cloud, snapshot=[saved]) == len(ASKED), boundary
        assert registry_is_valid(lab), boundary


@pytest.mark.parametrize("script", ["launch", "teardown"])
def test_what_is_kept_at_a_boundary_is_what_a_kill_leaves_there(lab, cloud, script):
    """Every eighth boundary is killed for real; with FULL=1 each is."""
    prepare(lab, cloud, script, "snapshot", hidden=0.0)  # two runs do the same only where both see the same
    before = World.as_it_is(lab, cloud)
    worlds = worlds_at_boundaries(lab, cloud, script, EXP="demo")
    for at, world in list(enumerate(worlds, start=1))[:: 1 if FULL else 8]:
        world.restore()
        kept = seen(lab, cloud)
        before.restore()
        assert killed(lab, script, at, EXP="demo")
        assert seen(lab, cloud) == kept, world.name


def seen(lab, cloud):
    """What differs between two boundaries and not between two runs."""
    text = lab.registry.read_text() if lab.registry.exists() else ""
    lines = [recorded(line) for line in text.splitlines() if line.startswith("{")]
    lock_owners = {path.name: bool(path.read_text()) for path in lab.path.glob("*.locks/*")}
    things = sorted((thing["region"], thing["kind"], thing["state"]) for thing in cloud.inventory())
    return lines, lock_owners, things


def recorded(line):
    """What a line of the registry records; reads by several threads come in any order."""
    try:
        record = json.loads(line.removesuffix(","))
    except ValueError:
        return "torn"
    operation = record.get("operation") or ""
    return "read" if operation.startswith("Describe") else (record["event"], operation)
