"""How long a search takes when only the last of 3 regions x 2 types has a machine, at 200 ms a call.

The calls that no search in this order can avoid are one look at the first region and a refusal by each of the five
pools before the last; what is measured is the time from the first call on the wire to the arrival of the sixth request.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from bench.launch_calls import RUNS, timed
from scripts.core.local_server import ensure_running, stop
from tests.lab_directory import LabDirectory
from tests.local_cloud_client import LocalCloud

LATENCY = 0.2
REGIONS = ("us-east-1", "us-west-2", "eu-west-1")
TYPES = ("p4d.24xlarge", "g5.12xlarge")
REFUSALS = len(REGIONS) * len(TYPES) - 1


def main() -> None:
    """Search, tear down, and print the ratio."""
    with tempfile.TemporaryDirectory() as temporary:
        lab = LabDirectory(Path(temporary))
        lab.write("lab.toml", f"regions = {list(REGIONS)}\n".replace("'", '"'))
        lab.write("experiments/demo.toml", f"types = {list(TYPES)}\n".replace("'", '"'))
        cloud = LocalCloud(ensure_running(lab.path / ".local-cloud"))
        try:
            measure(lab, cloud)
        finally:
            stop(lab.path / ".local-cloud")


def measure(lab: LabDirectory, cloud: LocalCloud) -> None:
    """Print the median ratio; the first search, which makes each region's security group, is not counted."""
    cloud.reset()
    only_the_last = [{"region": REGIONS[-1], "type": TYPES[-1], "available": 1}, {}]
    cloud.weather(latency=LATENCY, capacity=only_the_last)
    unavoidable = (1 + REFUSALS) * LATENCY
    took = []
    for run in range(RUNS + 1):
        before = len(cloud.calls())
        timed(lab, "launch")
        calls = cloud.calls()[before:]
        asked = [call["time"] for call in calls if call["action"] == "RunInstances"]
        timed(lab, "teardown")
        if run:
            took.append(asked[-1] - calls[0]["time"])
    median = statistics.median(took)
    print(
        f"RunInstances sent: {len(asked)}; the last arrives after {median:.3f} s ({min(took):.3f} to {max(took):.3f})"
    )
    print(f"unavoidable: {unavoidable:.3f} s; ratio {median / unavoidable:.3f}")


if __name__ == "__main__":
    main()
