"""How long a search takes when only the last of 3 regions x 2 types has an instance, at 200 ms a call."""

from __future__ import annotations

from bench.local_lab import LocalLab, local_lab
from bench.result import Goal, Result, Row, Table
from bench.sample import Sample

TITLE = "A search for capacity"
SAID = """
Only the last of 3 regions x 2 types has an instance, at 200 ms a call. A search in this order needs at least one
describe call in the first region and one API error from each of the five pools before the last. Measured is the time
from the first call to the arrival of the sixth request.
"""
LATENCY = 0.2
REGIONS = ("us-east-1", "us-west-2", "eu-west-1")
TYPES = ("p4d.24xlarge", "g5.12xlarge")
REFUSALS = len(REGIONS) * len(TYPES) - 1
GOAL = 1.2
FLOOR, OURS = "the least number of calls", "ec2-lab"
FILES = {
    "lab.toml": f"regions = {list(REGIONS)}\n".replace("'", '"'),
    "experiments/demo.toml": f"instance_types = {list(TYPES)}\n".replace("'", '"'),
}


def measure(runs: int) -> Result:
    """Search and tear down; the first search, which makes each region's security group, is not counted."""
    with local_lab(FILES) as local:
        only_the_last = [{"region": REGIONS[-1], "type": TYPES[-1], "available": 1}, {}]
        local.cloud.scenario(latency=LATENCY, capacity=only_the_last)
        took = [searched(local) for _ in range(runs + 1)][1:]
    rows = [Row(FLOOR, Sample([(1 + REFUSALS) * LATENCY])), Row(OURS, Sample(took))]
    found = Table("until the last pool is tried", "s", rows, against=FLOOR)
    return Result([found], [Goal(f"a search: of {FLOOR}", found[OURS].over(found[FLOOR]), GOAL)], runs)


def searched(local: LocalLab) -> float:
    """Launch and tear down; return the seconds from the first call to the last request."""
    before = len(local.cloud.calls())
    local.seconds("launch", EXP="demo")
    calls = local.cloud.calls()[before:]
    local.seconds("teardown", EXP="demo")
    return float([call["time"] for call in calls if call["action"] == "RunInstances"][-1] - calls[0]["time"])
