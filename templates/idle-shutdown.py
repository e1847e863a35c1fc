#!/usr/bin/python3 -I
"""Power this instance off once it has been idle for a while. Runs as root, on Python 3.9 or later.

    idle-shutdown LIMIT EVERY [FILE]

Checks every EVERY seconds, and powers the instance off when all checks of LIMIT seconds found no work. Without FILE, if
one is named, the instance does not count as idle. /run/ec2-lab-idle has the result of the last check.

Work is: an unfinished set-up, the experiment's command, somebody logged in (ssh with or without a terminal, Session
Manager, the serial console), and use of GPU, processors or network above the limits below. A reading that fails counts
as work and is reported on the console, so no instance ends by mistake. Nothing is stored on disk: after a reboot, or a
start after a stop, the time begins again.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

GPU = 5
"""Percent of the busiest GPU, by nvidia-smi, above which it is in use."""
CORES = 0.25
"""Cores that work, or wait for a disk, on average since the last check."""
NETWORK = 10000
"""Bytes a second, in and out, without loopback. An idle instance has some hundred."""
PATIENCE = 20
"""Seconds until a silent command counts as hung."""
FOUND = pathlib.Path("/run/ec2-lab-idle")
SET_UP = "/run/cloud-init/result.json"
"""cloud-init writes it at the end of each boot (https://docs.cloud-init.io/en/latest/explanation/return_codes.html)."""
LOGINS = r"sshd(-session)?: [^[]+|(.*/)?(login|ssm-session-worker)"
"""Process titles of logged-in users. sshd has brackets in all other titles, such as `sshd: root [net]` of somebody who
tries passwords; `sshd: alice@notty` is rsync, scp or an editor."""
PROC, DEVICES = pathlib.Path("/proc"), pathlib.Path("/sys/bus/pci/devices")

asked = []
"""The last command. One that hangs is not run again until it ends, which may be never."""


def idle_since(since: float | None, last: float, now: float, busy: bool, gap: float) -> float:
    """Return since when all checks found nothing, given the last result and this one.

    If more than `gap` seconds lie between them, the time in between is unknown.
    """
    return now if busy or since is None or now - last > gap else since


def processors() -> float:
    """Return the seconds that cores worked or waited for disks since boot.

    All but the fourth field, `idle` (proc(5), /proc/stat).
    """
    ticks = [int(word) for word in (PROC / "stat").read_text().split()[1:8]]
    return (sum(ticks) - ticks[3]) / os.sysconf("SC_CLK_TCK")


def network() -> float:
    """Return the bytes in and out since boot, on all interfaces but loopback."""
    found = re.findall(r"(\S+): *(\d+)(?: +\d+){7} +(\d+)", (PROC / "net/dev").read_text())
    return sum(int(came) + int(went) for name, came, went in found if name != "lo")


def rate(total):
    """Return a function that reads the growth of a total per second. A network that disappears counts as change."""
    last = []

    def read() -> float:
        before = last[:]
        last[:] = time.monotonic(), total()
        return abs(last[1] - before[1]) / (last[0] - before[0]) if before else 0

    return read


def told(*command: str) -> str:
    """Return a command's output."""
    if asked and asked[0].poll() is None:
        raise OSError("hangs")
    asked[:] = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True)]
    return asked[0].communicate(timeout=PATIENCE)[0].strip()


def gpus() -> int:
    """Return the percent of the busiest GPU; 0 without a GPU or driver."""
    there = any("0x10de" in path.read_text() for path in DEVICES.glob("*/vendor"))
    if not there or not shutil.which("nvidia-smi"):
        return 0
    said = told("nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")
    return max(int(line) for line in said.split("\n"))


def command() -> int:
    """Return whether the experiment's command runs."""
    return {"inactive": 0, "failed": 0, "active": 1, "activating": 1, "deactivating": 1}[
        told("systemctl", "is-active", "experiment.service")
    ]


def logins() -> int:
    """Return the number of logins."""
    found = 0
    for process in PROC.glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError, ValueError):  # it has ended meanwhile, or its title is not text
            found += bool(re.fullmatch(LOGINS, process.read_text().split("\0")[0]))
    return found


def look(readings: list) -> tuple:
    """Return what is being done, and what cannot be read and so counts as work."""
    found, problems = [], []
    for name, read, most in readings:
        try:
            value = read()
            found += [f"{name} {value:.4g}"] if value > most else []
        except (OSError, LookupError, ValueError, subprocess.SubprocessError) as problem:
            problems.append(f"PROBLEM: {name} can't be read, which counts as work: {problem!r}")
    return found, problems


def watch(limit: float, every: float, *files: str) -> None:
    """Check until the instance ends."""
    readings = [
        ("set-up", lambda: not all(map(os.path.exists, (SET_UP, *files))), 0),
        ("command", command, 0),
        ("logins", logins, 0),
        ("GPU", gpus, GPU),
        ("cores", rate(processors), CORES),
        ("network", rate(network), NETWORK),
    ]
    since, last, known = None, 0, []
    while True:
        found, problems = look(readings)
        if problems != known:
            say(*problems or ["all can be read again"])
        known, now = problems, time.monotonic()
        since = idle_since(since, last, now, bool(found + problems), 3 * every + PATIENCE)
        last = now
        said = ", ".join(found + problems)
        FOUND.write_text(f"idle for {now - since:.0f} of {limit:.0f} s: {said}\n")
        if now - since >= limit:
            say(f"idle for {limit:.0f} s, this instance ends")
            subprocess.call(["systemctl", "start", "--no-block", "ec2-lab-power-off@idle.service"])
        time.sleep(every)


def say(*lines: str) -> None:
    """Write lines to the console."""
    for line in lines:
        print(f"ec2-lab: {line}", flush=True)


if __name__ == "__main__":
    watch(float(sys.argv[1]), float(sys.argv[2]), *sys.argv[3:])
