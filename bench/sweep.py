"""How long a sweep of 100 takes at 200 ms a call and EC2's own bucket for RunInstances: `python -m bench.sweep`.

The bucket holds 5 requests and refills 2 a second
(https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html), so no program can send 100 in less than
(100 - 5) / 2 = 47.5 s. What is measured is the whole process, from its start to the line that says that all run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from scripts.core.local_server import ensure_running, stop
from tests.lab_directory import LabDirectory
from tests.local_cloud_client import LocalCloud

MACHINES, SIZE, REFILL, LATENCY = 100, 5, 2, 0.2
GOAL, MEMORY_GOAL = 1.2, 300
EXPERIMENT = f'types = ["g5.xlarge"]\n[matrix]\nlr = [0.1, 0.01, 0.001, 0.0001]\nseed = {list(range(MACHINES // 4))}\n'


def main() -> None:
    """Sweep once, and print how long it took, at what cost, and what is on record."""
    with tempfile.TemporaryDirectory() as temporary:
        lab = LabDirectory(Path(temporary))
        lab.write("lab.toml", 'regions = ["us-east-1"]\n')
        lab.write("experiments/speech.toml", EXPERIMENT)
        cloud = LocalCloud(ensure_running(lab.path / ".local-cloud"))
        try:
            measure(lab, cloud)
        finally:
            stop(lab.path / ".local-cloud")


def measure(lab: LabDirectory, cloud: LocalCloud) -> None:
    """Print seconds, memory and the calls of one sweep."""
    cloud.reset()
    cloud.weather(latency=LATENCY, pending=2, buckets={"RunInstances": {"size": SIZE, "refill": REFILL}})
    seconds, mebibytes = swept(lab)
    allowed = (MACHINES - SIZE) / REFILL
    actions = Counter(call["action"] for call in cloud.calls())
    refused = sum(call["code"] == "RequestLimitExceeded" for call in cloud.calls("RunInstances"))
    print(f"{MACHINES} machines run after {seconds:.1f} s; the bucket allows {allowed:.1f} s")
    print(f"ratio {seconds / allowed:.3f} (goal {GOAL}); peak memory {mebibytes:.0f} MiB (goal {MEMORY_GOAL})")
    print(f"calls: {', '.join(f'{count} {action}' for action, count in actions.most_common())}; {refused} refused")
    print(on_record(lab.records(), cloud))


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
    """Return how what is on record agrees with what was on the wire."""
    asked = [record for record in records if record.get("operation") == "RunInstances"]
    intents = {record["id"]: record["request"]["ClientToken"] for record in asked if record["event"] == "intent"}
    outcomes = Counter(record["of"] for record in asked if record["event"] in ("answer", "error"))
    sent = Counter(call["params"]["ClientToken"] for call in cloud.calls("RunInstances"))
    launched = {record["experiment"] for record in records if "launched" in (record.get("note") or {})}
    whole = outcomes == dict.fromkeys(intents, 1) and Counter(intents.values()) == sent and len(launched) == MACHINES
    told = f"{len(intents)} intents, {outcomes.total()} outcomes, {sent.total()} requests on the wire"
    return f"on record: {told}, {len(launched)} launched: {'each its own' if whole else 'THEY DO NOT AGREE'}"


if __name__ == "__main__":
    main()
