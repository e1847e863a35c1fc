"""What runs at the first boot copes with what images bring along: their consoles, their needrestart."""

import os
from pathlib import Path

import pytest

from ec2lab.hosts.host_keys import parse_host_keys
from ec2lab.launch.parts.members import KEYS_ON_SERIAL_CONSOLE
from ec2lab.launch.run_instances_request import answering_for_all
from ec2lab.runs.command import NEEDRESTART
from tests.hosts.host import Host
from tests.waiting import wait_until

HIERARCHIES = (Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup"))
"""Where systemd has the control groups of services, in version 1 and 2."""
STARTING = """
echo $$ >"$1/cgroup.procs"
setsid "/opt/$0" 1000 >/dev/null 2>&1 &
until [ "$(cat /proc/$!/comm)" = "$0" ]; do sleep 0.05; done
"""
SYSTEMCTL = """#!/bin/sh
[ "$1" = show ] || echo "$@" >>/restarted
"""


@pytest.fixture
def booting(cloud_init, tmp_path):
    """An instance with cloud-init and needrestart."""
    (tmp_path / "host").mkdir()
    made = Host(cloud_init, tmp_path / "host")
    yield made
    made.stop()


CONSOLES = {"ttyS0 tty0": True, "tty0 ttyS0": False, "ttyS0": False, "tty0": False}
"""Of Rocky 9 and RHEL; Amazon Linux, Debian, Fedora and Ubuntu; an instance with one. Do the keys have to be added?"""


def test_host_keys_are_on_the_serial_console_though_the_image_has_another_one_last(booting):
    booting.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/etc/ssh/ssh_host_ed25519_key")
    booting.run("sh", "-ec", "mount -t tmpfs dev /dev; mount -t tmpfs sys /sys; mkdir -p /sys/class/tty/console")
    key = booting.path("/etc/ssh/ssh_host_ed25519_key.pub").read_text().rsplit(" ", 1)[0]
    for consoles, added in CONSOLES.items():
        booting.write("/dev/ttyS0", "")
        booting.write("/sys/class/tty/console/active", f"{consoles}\n")
        booting.run("sh", "-c", "\n".join(answering_for_all([KEYS_ON_SERIAL_CONSOLE])))
        assert parse_host_keys(booting.path("/dev/ttyS0").read_text()) == ([key] if added else []), consoles


@pytest.fixture
def services(booting):
    """Starts a program as a service of a name: in its control group, the child of process 1."""
    hierarchy = next(path for path in HIERARCHIES if (path / "cgroup.procs").exists()) / f"ec2-lab-{os.getpid()}"
    groups = []

    def start(name):
        group = hierarchy / f"{name}.service"
        try:
            group.mkdir(parents=True)
        except OSError as why:
            pytest.skip(f"this root can make no control groups: {why}")
        groups.append(group)
        booting.run("cp", "/bin/sleep", f"/opt/{name}")
        booting.run("sh", "-ec", STARTING, name, str(group))

    yield start
    for group in groups:
        booting.run("sh", "-c", f"kill -9 $(cat {group}/cgroup.procs)")
        wait_until(lambda group=group: not (group / "cgroup.procs").read_text())
        group.rmdir()
    if groups:
        hierarchy.rmdir()


def test_needrestart_restarts_other_services_and_never_the_command(booting, services):
    for name in ("experiment", "other"):
        services(name)
        booting.run("sh", "-ec", f"cp /opt/{name} /opt/new; mv /opt/new /opt/{name}")  # as an upgrade does
    booting.run("mkdir", "-p", "/run/systemd/system")
    booting.write("/usr/bin/systemctl", SYSTEMCTL, mode=0o755)
    booting.run("needrestart", "-r", "a", "-l")
    assert booting.path("/restarted").read_text() == "restart experiment.service other.service\n"

    booting.path("/restarted").unlink()
    for path, text in NEEDRESTART.items():
        booting.write(path, text)
    booting.run("needrestart", "-r", "a", "-l")
    assert booting.path("/restarted").read_text() == "restart other.service\n"
