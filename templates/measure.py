"""Print what an instance is busy with, one JSON object per line, until nobody reads any more. Python 3.9 or later.

    measure SECONDS COUNT

One object every SECONDS, COUNT of them; 0 is without end. Rates are averages since the last one.
"""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
import time

PROC, BLOCK = pathlib.Path("/proc"), pathlib.Path("/sys/block")
SECTOR = 512
"""Bytes, whatever the disk has (Documentation/block/stat.rst)."""
FIELDS = "utilization.gpu", "memory.used", "memory.total"
LOG = "/var/lib/ec2-lab/instance/log"
TIMEOUT = 10


def output(*command: str) -> str:
    """Return what a command prints; nothing if it fails, hangs or does not exist."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=TIMEOUT,
            check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace")


def gpus() -> list[list[int | None]]:
    """Return utilization in percent, and used and total memory in MiB, of each GPU; null for what it does not have.

    A GPU that is split into MIG instances has no utilization
    (https://docs.nvidia.com/datacenter/tesla/mig-user-guide/).
    """
    rows = output("nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits").splitlines()
    cells = [[cell.strip() for cell in row.split(",")] for row in rows]
    return [[int(cell) if cell.isdigit() else None for cell in row] for row in cells if len(row) == len(FIELDS)]


def last_line() -> str:
    """Return the last line of the command's log; nothing if there is none, or sudo wants a password."""
    drawn = re.split(r"[\r\n]", output("sudo", "-n", "tail", "--bytes=4096", LOG))
    return next((line.strip() for line in reversed(drawn) if line.strip()), "")[-500:]


def totals() -> dict[str, int]:
    """Return what only grows: ticks of processors, bytes of disks and of the network."""
    ticks = [int(word) for word in (PROC / "stat").read_text().split()[1:8]]
    disks = [path.joinpath("stat").read_text().split() for path in BLOCK.glob("*") if path.joinpath("device").exists()]
    network = re.findall(r"(\S+): *(\d+)(?: +\d+){7} +(\d+)", (PROC / "net/dev").read_text())
    return {
        "ticks": sum(ticks), "busy": sum(ticks) - ticks[3] - ticks[4],
        "disk_read": SECTOR * sum(int(disk[2]) for disk in disks),
        "disk_written": SECTOR * sum(int(disk[6]) for disk in disks),
        "network_received": sum(int(came) for name, came, _ in network if name != "lo"),
        "network_sent": sum(int(went) for name, _, went in network if name != "lo"),
    }  # fmt: skip


def memory() -> tuple[int, int]:
    """Return used and total bytes."""
    found = dict(re.findall(r"(\w+): +(\d+) kB", (PROC / "meminfo").read_text()))
    total = 1024 * int(found["MemTotal"])
    return total - 1024 * int(found["MemAvailable"]), total


def main(seconds: float, count: int) -> None:
    """Measure."""
    before, at, done = totals(), time.monotonic(), 0
    while done < count or not count:
        time.sleep(seconds)
        now, moment = totals(), time.monotonic()
        grown = {name: max(0, now[name] - before[name]) for name in now}
        ticks, busy = max(1, grown.pop("ticks")), grown.pop("busy")
        used, total = memory()
        rates = {name: round(bytes_ / (moment - at)) for name, bytes_ in grown.items()}
        measured = {"gpus": gpus(), "cpu": round(100 * busy / ticks), "memory_used": used, "memory_total": total}
        print(json.dumps({**measured, **rates, "line": last_line()}), flush=True)
        before, at, done = now, moment, done + 1


if __name__ == "__main__":
    try:
        main(float(sys.argv[1]), int(sys.argv[2]))
    except BrokenPipeError:
        sys.exit(1)
    except (OSError, ValueError, LookupError) as problem:
        sys.exit(f"ec2-lab: measure: {problem}")
