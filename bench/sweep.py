"""A sweep against EC2's own bucket for RunInstances, which no program can beat."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from typing import Any

from bench.local_lab import LocalLab, local_lab
from bench.result import Goal, Result, Row, Table
from bench.sample import Sample
from tests.lab_directory import LabDirectory
from tests.local_cloud_client import LocalCloud

TITLE = "A sweep against the request bucket"
SAID = """
EC2's token bucket for RunInstances holds 5 requests and refills 2 a second
(https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html), so 24 instances, each with a request of its
own, take at least (24 - 5) / 2 = 9.5 s, and 100 take at least 47.5 s. Measured at 200 ms a call with instances
pending for 2 s, from the start of the process to its end. 100 instances are swept once, as most of that is waiting
for the bucket.
"""
SIZE, REFILL, LATENCY, PENDING = 5, 2, 0.2, 2
FEW, MANY = 24, 100
ALLOWED = "what the bucket allows"
GOAL, MEMORY_GOAL = 1.2, 300
SEEDS = 4


def measure(runs: int, few: int = FEW, many: int = MANY) -> Result:
    """Sweep `few` instances in each run and `many` once; the records must agree with the calls that arrived."""
    files = {"lab.toml": 'regions = ["us-east-1"]\n', "experiments/speech.toml": ""}
    with local_lab(files) as local:
        tables, memory = [], 0.0
        for instances, times in ((few, runs), (many, 1)):
            found = [swept_again(local, instances) for _ in range(times)]
            memory = max(memory, *(mebibytes for _, mebibytes in found))
            least = Row(ALLOWED, Sample([(instances - SIZE) / REFILL]))
            ours = Row(
                "make sweep", Sample([seconds for seconds, _ in found]), on_record(local.lab.records(), local.cloud)
            )
            tables.append(Table(f"{instances} instances", "s", [least, ours], against=ALLOWED, noted="requests"))
    ratio = tables[-1]["make sweep"].over(tables[-1][ALLOWED])
    goals = [Goal(f"{many} instances: of {ALLOWED}", ratio, GOAL), Goal("memory at most", memory, MEMORY_GOAL, "MiB")]
    return Result(tables, goals, runs)


def swept_again(local: LocalLab, instances: int) -> tuple[float, float]:
    """Sweep on an empty cloud, with an empty registry; return seconds and MiB."""
    local.cloud.reset()
    local.lab.registry.unlink(missing_ok=True)
    matrix = f"lr = {[10.0**-n for n in range(instances // SEEDS)]}\nseed = {list(range(SEEDS))}\n"
    local.lab.write("experiments/speech.toml", f'instance_types = ["g5.xlarge"]\n[matrix]\n{matrix}')
    bucket = {"RunInstances": {"size": SIZE, "refill": REFILL}}
    room = {"Running On-Demand G and VT instances": 100_000}
    local.cloud.scenario(latency=LATENCY, pending=PENDING, buckets=bucket, quotas=room)
    return swept(local.lab)


def swept(lab: LabDirectory) -> tuple[float, float]:
    """Sweep; return the seconds of the whole process, and the memory that it held at most."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.sweep"], cwd=lab.path, env=lab.environment(EXP="speech"),
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    kibibytes = usage.ru_maxrss if sys.platform == "linux" else usage.ru_maxrss / 1024  # getrusage(2), there in bytes
    return time.perf_counter() - began, kibibytes / 1024


def on_record(records: list[dict[str, Any]], cloud: LocalCloud) -> str:
    """Return how many requests were launched and throttled. Raises AssertionError where records and calls differ."""
    asked = [record for record in records if record.get("operation") == "RunInstances"]
    intents = {record["id"]: record["request"]["ClientToken"] for record in asked if record["event"] == "intent"}
    outcomes = {record["parent_id"]: record["event"] for record in asked if record["event"] in ("response", "error")}
    sent = Counter(call["params"]["ClientToken"] for call in cloud.calls("RunInstances"))
    launched = {record["experiment"] for record in records if "launched" in (record.get("annotation") or {})}
    assert outcomes.keys() == intents.keys()
    assert Counter(intents.values()) == sent
    throttled = sum(event == "error" for event in outcomes.values())
    assert len(launched) == len(intents) - throttled
    return f"{len(intents)}: {len(launched)} launched, {throttled} throttled and sent again"
