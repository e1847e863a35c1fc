"""A copy of a dataset to five regions, which takes as long as the slowest of them."""

from __future__ import annotations

from functools import partial

from bench.local_lab import LocalLab, local_lab
from bench.result import Goal, Result, Row, Table
from bench.sample import Sample
from bench.turns import in_turns

TITLE = "Copies of a dataset to several regions"
SAID = """
`make snapshot-copy`, from its start until the copies are complete, at 200 ms a call: to one region whose copy takes
3 s, and to five in parallel, of which the other four take 0.5 s each. One after the other, they would take more than
5 s.
"""
SLOW, SLOWEST = "eu-north-1", 3.0
OTHERS, QUICK = ("eu-west-1", "eu-central-1", "ap-northeast-1", "ca-central-1"), 0.5
ALONE, TOGETHER = "the slowest region alone", "five regions"
LIMIT = 1.25
FILES = {"lab.toml": 'regions = ["us-east-1"]\n'}


def measure(runs: int) -> Result:
    """Copy to one and to five in turns; each copy is made again."""
    with local_lab(FILES) as local:
        wanted = {ALONE: SLOW, TOGETHER: " ".join((SLOW, *OTHERS))}
        found = in_turns({name: partial(copied, local, regions) for name, regions in wanted.items()}, runs)
    table = Table("make snapshot-copy", "s", [Row(name, Sample(v)) for name, v in found.items()], against=ALONE)
    return Result(
        [table], [Goal("five regions: of the slowest alone", table[TOGETHER].over(table[ALONE]), LIMIT)], runs
    )


def copied(local: LocalLab, regions: str) -> float:
    """Copy in a cloud in which nothing is copied yet; return the seconds of the whole process."""
    local.cloud.reset()
    local.lab.registry.unlink(missing_ok=True)
    local.cloud.scenario(latency=0.2, copy_seconds=dict.fromkeys(OTHERS, QUICK) | {SLOW: SLOWEST})
    return local.seconds("snapshot_copy", DATASET="speech", REGIONS=regions)
