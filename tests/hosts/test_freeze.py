"""A file system is frozen for a moment: whatever is killed, it is thawed, and never the one that the host runs from."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from ec2lab.templates import text_of
from tests.hosts.host import holds_within
from tests.hosts.test_data import frozen
from tests.hosts.test_mount_volumes import disks, mount  # noqa: F401 - a fixture


@pytest.fixture
def freeze(host, disks):  # noqa: F811
    """Starts the program; gives its process once it has printed a line, and the line."""
    mount(host, {"mount": "/data", "device": disks(filesystem="ext4")})
    host.write("/opt/freeze", text_of("freeze.py"))
    enter = ["nsenter", f"--target={host.first}", "--mount", "--pid", "--root", "--wd=/"]
    begun = []

    def start(path="/data", seconds=60):
        command = [*enter, "python3", "-I", "/opt/freeze", path, str(seconds)]
        begun.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return begun[-1], begun[-1].stdout.readline().decode().strip()

    yield start
    for process in begun:
        process.communicate(timeout=30)


def child_of(process):
    """Its process id: nsenter's child is the program, whose child is the guard."""
    (child,) = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return int(child)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, None])
def test_it_is_thawed_when_who_asked_for_it_has_ended(host, freeze, ending):
    process, said = freeze()
    assert (said, frozen(host, "/data")) == ("frozen", True)
    if ending:
        os.kill(child_of(process.pid), ending)
    if ending != signal.SIGKILL:
        assert frozen(host, "/data"), "the call to AWS may still be on its way"
        process.stdin.close()
        process.stdin = None
    assert holds_within(10, lambda: not frozen(host, "/data"))
    assert process.wait(10) == (-signal.SIGKILL if ending == signal.SIGKILL else 0)


def test_it_is_thawed_when_its_guard_is_killed_and_that_is_an_error(host, freeze):
    process, _ = freeze()
    os.kill(child_of(child_of(process.pid)), signal.SIGKILL)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, frozen(host, "/data")) == (1, False)
    assert b"/data: thawed: its guard has died" in err


def test_it_is_thawed_after_its_time_whoever_still_listens(host, freeze):
    process, _ = freeze(seconds=0.2)
    assert process.wait(10) == 1
    assert not frozen(host, "/data")
    assert b"/data: thawed by itself after 0 s" in process.stderr.read()


def test_what_somebody_else_thaws_meanwhile_is_an_error(host, freeze):
    process, _ = freeze()
    host.run("fsfreeze", "--unfreeze", "/data")
    _, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert b"/data: somebody else has thawed it" in err


def test_what_somebody_else_has_frozen_stays_so(host, freeze):
    host.run("fsfreeze", "--freeze", "/data")
    process, said = freeze()
    assert (said, process.wait(10)) == ("it is frozen already", 1)
    host.run("fsfreeze", "--unfreeze", "/data")


@pytest.mark.parametrize("path", ["/", "/system", "/var/log"])
def test_what_the_host_runs_from_is_never_frozen(host, freeze, path):
    host.run("sh", "-ec", "mkdir -p /system; mount --bind /etc /system; mount --bind /data /var/log")
    process, said = freeze(path)
    host.run("umount", "/system", "/var/log")
    inside = "/var/log" if path == "/var/log" else "/"
    assert said == f"{inside} lies in it, without which nobody could log in to thaw it"
    assert process.wait(10) == 1


def test_a_directory_that_is_no_mount_point_is_refused(freeze):
    process, said = freeze("/opt")
    assert (said, process.wait(10)) == ("nothing is mounted there", 1)
