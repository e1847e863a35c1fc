"""systemd on a host of namespaces: units run as they are, and the power can be cut."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.hosts.host import ENVIRONMENT, Host
from tests.waiting import wait_until

BOOT = """
set -e
cd "$1"
mount -t proc proc proc
mount -t tmpfs run run
mount -t tmpfs dev dev
for name in null zero full random urandom tty; do touch dev/$name; mount --bind /dev/$name dev/$name; done
mount -t tmpfs sys sys
mkdir -p sys/fs/cgroup
mount -t cgroup2 cgroup sys/fs/cgroup
PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec chroot . /usr/bin/env -i container=lxc PATH=$PATH /lib/systemd/systemd --unit=multi-user.target
"""
NAMESPACES = ("--cgroup", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--propagation=private")


class CanNotBoot(Exception):
    """What keeps systemd from running here."""


class Systemd:
    """What boots on a host. What is written outside of /run is there at the next boot."""

    def __init__(self, host: Host) -> None:
        """Make a control group for it. Raises CanNotBoot."""
        self.host = host
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        hierarchy = next((place for _, place, kind, *_ in mounts if kind == "cgroup2"), None)
        if hierarchy is None:
            raise CanNotBoot("there are no control groups of version 2")
        self.group = Path(hierarchy, f"ec2-lab-{os.getpid()}")
        try:
            self.group.mkdir(exist_ok=True)
        except OSError as why:
            raise CanNotBoot(f"this root can make no control groups: {why}") from why
        self.process: subprocess.Popen | None = None

    def boot(self) -> None:
        """Boot, until all that is wanted has been started."""
        enter = ["nsenter", f"--target={self.host.first}", "--mount", "unshare", *NAMESPACES]
        script = f'echo $$ >"{self.group}/cgroup.procs" && exec "$@"'
        command = ["sh", "-c", script, "sh", *enter, "sh", "-c", BOOT, "sh", self.host.root]
        nothing = subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing)
        wait_until(lambda: self._first and self._state() in ("running", "degraded"))

    def _state(self) -> str:
        return self.run("systemctl", "is-system-running", check=False).stdout.strip()

    def cut_power(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait()

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run a command there."""
        enter = ["nsenter", f"--target={self._first}", "--all", "--root", "--wd=/"]
        return subprocess.run(
            [*enter, *command], env=ENVIRONMENT, capture_output=True, text=True, check=check, timeout=60
        )

    def stop(self) -> None:
        """End it, and all that was made for it outside."""
        self.cut_power()
        wait_until(lambda: "populated 0" in (self.group / "cgroup.events").read_text())
        for inner in sorted(self.group.rglob("*/"), reverse=True):
            inner.rmdir()
        self.group.rmdir()

    @property
    def _first(self) -> int:
        """The process id of its process 1, as it is here; 0 while there is none."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else 0


def systemd_on(host: Host) -> Systemd:
    """Return what boots on a host; stop the host and skip the test where nothing can."""
    try:
        return Systemd(host)
    except CanNotBoot as why:
        host.stop()
        pytest.skip(f"systemd can't run here: {why}")
