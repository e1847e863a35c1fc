"""In every scenario, alone and mixed: a launch gives its instance or nothing, and a teardown leaves nothing.

200 launches and as many teardowns, each under a seed of its own, so that a failure can be had again.
"""

import itertools

import pytest

from tests.crash.killing import World, alive, gone, registry_is_valid

pytestmark = pytest.mark.crash

EXPERIMENT = 'instance_types = ["g5.xlarge"]\ncapacity_timeout = "1m"\n[[data]]\ndataset = "speech"\nmount = "/data"\n'
OFTEN = 0.2
"""The probability that a call goes wrong."""
WRONG = {
    "throttled": {"code": "RequestLimitExceeded"},
    "500": {"code": "InternalError"},
    "503": {"code": "Unavailable"},
    "a page": {"kind": "html-503"},
    "reset before": {"kind": "reset-before"},
    "reset after": {"kind": "reset-after"},
    "truncated": {"kind": "truncated"},
}
LATE = {"capacity": [{"region": "us-east-1", "late": True, "code": "InsufficientInstanceCapacity"}]}
ALONE = {
    **{name: {"faults": [{**fault, "probability": OFTEN}]} for name, fault in WRONG.items()},
    "refused late": LATE,
    "not shown yet": {"invisible": 1.0},
    "each shown after a time of its own": {"invisible": (0.0, 1.0)},
    "clock behind": {"clock_skew": 240.0},
    "clock ahead": {"clock_skew": -240.0},
}
SEEDS_ALONE = 8
MIXED = 200 - SEEDS_ALONE * len(ALONE)


def mixed(seed):
    """All of them at once: of five calls one goes wrong, in whichever way."""
    # Each is asked about only where those before it did not strike.
    left = [OFTEN / len(WRONG) / (1 - OFTEN * number / len(WRONG)) for number in range(len(WRONG))]
    faults = [{**fault, "probability": p} for fault, p in zip(WRONG.values(), left, strict=True)]
    skew = (-240.0, 0.0, 240.0)[seed % 3]
    return {"faults": faults, "invisible": 0.5, "clock_skew": skew, **(LATE if seed % 2 else {})}


SCENARIOS = [
    *((name, seed, scenario) for (name, scenario), seed in itertools.product(ALONE.items(), range(SEEDS_ALONE))),
    *(("mixed", seed, mixed(seed)) for seed in range(MIXED)),
]
SHARES = 20


def test_there_are_200_of_them():
    assert len(SCENARIOS) == 200
    assert {name for name, _, _ in SCENARIOS} == {*ALONE, "mixed"}


@pytest.mark.parametrize("share", range(SHARES))
def test_a_launch_gives_its_instance_or_nothing_and_a_teardown_leaves_nothing(lab, cloud, share):
    lab.write("experiments/demo.toml", EXPERIMENT)
    beginning = World.as_it_is(lab, cloud)
    for name, seed, scenario in SCENARIOS[share::SHARES]:
        named = f"{name}, seed {seed}"
        beginning.restore()
        cloud.scenario(**scenario, seed=seed)
        launched = lab.run("launch", EXP="demo")
        cloud.scenario()
        there = alive(cloud)
        expected = 1 if launched.code == 0 else 0
        assert launched.code in (0, 1), f"{named}: {launched.err}"
        told = "could not be taken down" in launched.err
        assert len(there["instance"]) == expected or told, f"{named}: {len(there['instance'])}; {launched.err}"
        assert len(there["instance"]) <= 1, named
        assert len(there["volume"]) == 2 * len(there["instance"]), named
        cloud.scenario(**scenario, seed=seed + 1000)
        ended = lab.run("teardown", EXP="demo")
        assert ended.code == 0 or "was never launched" in ended.err, f"{named}: {ended.err}"
        cloud.scenario()
        assert gone(cloud) <= 2, f"{named}: one group for each region"
        assert registry_is_valid(lab), named
