"""What a launch and a teardown send, and how long they take, on the local cloud.

The calls are counted by the server, so retries and everything a library does by itself are in them.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scripts.core.local_server import ensure_running, stop
from tests.lab_directory import REPOSITORY, LabDirectory
from tests.local_cloud_client import LocalCloud

RUNS = 7


def main() -> None:
    """Launch and tear down at 0 and at 200 ms a call."""
    with tempfile.TemporaryDirectory() as temporary:
        lab = LabDirectory(Path(temporary))
        for name in ("lab.toml", "experiments/demo.toml"):
            lab.write(name, (REPOSITORY / name).read_text())
        cloud = LocalCloud(ensure_running(lab.path / ".local-cloud"))
        try:
            for latency in (0.0, 0.2):
                measure(lab, cloud, latency)
        finally:
            stop(lab.path / ".local-cloud")


def measure(lab: LabDirectory, cloud: LocalCloud, latency: float) -> None:
    """Print medians of whole processes; the first launch, which makes the security group, is counted alone."""
    cloud.reset()
    cloud.weather(latency=latency)
    timed(lab, "launch")
    print(f"{latency * 1000:.0f} ms a call, the region's first launch: {calls(cloud)}")
    timed(lab, "teardown")
    seconds: dict[str, list[float]] = {"launch": [], "teardown": []}
    sent = {}
    for _ in range(RUNS):
        for script, took in seconds.items():
            before = len(cloud.calls())
            took.append(timed(lab, script))
            sent[script] = calls(cloud, before)
    for script, took in seconds.items():
        spread = f"{min(took):.3f} to {max(took):.3f}"
        median = f"median {statistics.median(took):.3f} s ({spread})"
        print(f"{latency * 1000:.0f} ms a call, {script}: {median}; {sent[script]}")


def timed(lab: LabDirectory, script: str) -> float:
    """Run a script on the demo; return its seconds as a whole process."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", f"scripts.{script}"], cwd=lab.path, env=lab.environment(EXP="demo"),
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - began


def calls(cloud: LocalCloud, since: int = 0) -> str:
    """Return what was sent, in words."""
    actions = [call["action"] for call in cloud.calls()[since:]]
    changing = [action for action in actions if not action.startswith("Describe")]
    reading = [action for action in actions if action.startswith("Describe")]
    return f"{len(changing)} changing ({', '.join(changing)}), {len(reading)} reading ({', '.join(reading)})"
