"""On a real host: an end that is set over ssh stands there, and a program ends it when nothing is done."""

import subprocess
import time
from datetime import UTC, datetime

import pytest

from ec2lab.hosts.program_packer import sent
from ec2lab.instances.ttl import AT_BOOT, DEADLINE, NEVER, SET_AT_BOOT
from tests.changed_constants import sent_with
from tests.hosts.host import holds_within
from tests.hosts.instance import be_the_instance

SYSTEMCTL = f"""#!/bin/sh
echo "$@" >> /run/systemctl
case "$1" in
is-active) cat /run/state ;;
show) at=$(sed -n 's/OnCalendar=@//p' {DEADLINE})
  test -e /run/deaf && at=1000
  echo "NextElapseUSecRealtime=$(date -u -d "@$at" '+%a %Y-%m-%d %H:%M:%S UTC')" ;;
esac
"""
"""What stands in for systemd, which the host has not: it writes down what it was told, and reads the timer."""
LAB = 'regions = ["us-east-1"]\n[ssh]\nboot_timeout = "60s"\n'
PROGRAM = "/opt/ec2-lab/idle-shutdown"
QUIET = "cpu  1 0 1 1000 0 0 0 0 0 0\n"
WAITING = "/run/code-is-here"


def deadline(host):
    return int(host.path(DEADLINE).read_text().partition("@")[2].split()[0])


@pytest.fixture
def instance(host_with_sshd, lab, cloud, alice_key):
    """A host that is the instance of an experiment without a ttl, and the variables of who may log in."""
    lab.write("lab.toml", 'regions = ["us-east-1"]\n')
    lab.write("experiments/demo.toml", 'instance_types = ["g5.xlarge"]\n')
    assert lab.launch().code == 0
    host_with_sshd.write("/usr/bin/systemctl", SYSTEMCTL, mode=0o755)
    variables, _, _ = be_the_instance(cloud, lab, host_with_sshd, "alice", alice_key)
    lab.write("lab.toml", LAB)
    return host_with_sshd, variables


def test_an_end_is_set_on_an_instance_that_had_none_and_none_on_one_that_had(instance, lab):
    host, variables = instance
    ended = lab.run("ttl_set", EXP="demo", TTL="4h", **variables)
    assert ended.code == 0, ended.err
    assert "demo ends at 20" in ended.out
    assert deadline(host) - time.time() == pytest.approx(4 * 3600, abs=60)
    (shown,) = lab.status()
    assert datetime.fromisoformat(shown["ends"]) == datetime.fromtimestamp(deadline(host), UTC)
    told = host.path("/run/systemctl").read_text()
    assert (
        f"daemon-reload\nenable --quiet ec2-lab-time-to-live.timer {AT_BOOT}\nrestart ec2-lab-time-to-live.timer\n"
        in told
    )
    assert (
        "start --no-block --job-mode=replace-irreversibly poweroff.target"
        in host.path("/etc/systemd/system/ec2-lab-power-off@.service").read_text()
    )
    host.path(DEADLINE).write_text("[Timer]\nOnCalendar=@1000\n# 14400\n")
    host.run(SET_AT_BOOT)
    assert deadline(host) - time.time() == pytest.approx(4 * 3600, abs=60), "as after a stop in which it passed"
    assert lab.run("ttl_set", EXP="demo", TTL="never", **variables).code == 0
    assert deadline(host) == NEVER


def test_an_end_that_systemd_does_not_take_is_not_told_as_set(instance, lab):
    host, variables = instance
    host.write("/run/deaf", "")
    ended = lab.run("ttl_set", EXP="demo", TTL="4h", **variables)
    assert ended.code == 1
    assert "systemd did not accept the new expiry" in ended.err
    assert "may not be set there" in ended.err
    assert "ends" not in lab.status()[0]


@pytest.fixture
def idle_host(host_with_sshd, alice_key):
    """A host on which nothing is done, with a GPU."""
    host = host_with_sshd
    host.write("/usr/bin/systemctl", SYSTEMCTL, mode=0o755)
    host.write(PROGRAM, sent("idle-shutdown.py"), mode=0o755)
    host.accounts({"members": {"alice": {"keys": [alice_key.line]}}})
    host.write("/run/cloud-init/result.json", "{}")
    host.write("/run/state", "inactive\n")
    host.write("/run/stat", QUIET)
    host.write("/run/pci/0000:00:1e.0/vendor", "0x10de\n")
    host.write("/run/gpu", "0\n")
    host.write("/usr/bin/nvidia-smi", "#!/bin/sh\ncat /run/gpu\n", mode=0o755)
    host.write(WAITING, "")
    # This computer's own processors and network are not the host's, and have no rest.
    host.write("/run/dev", "  eth0: 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0\n")
    for fake, real in (
        ("/run/stat", "/proc/stat"),
        ("/run/dev", "/proc/net/dev"),
        ("/run/pci", "/sys/bus/pci/devices"),
    ):
        host.run("mount", "--bind", fake, real)
    return host


def begin(host, limit="1"):
    """Start the program, looking five times a second; it runs until its host stops."""
    host.run("sh", "-c", '"$0" "$@" > /run/console 2>&1 &', PROGRAM, limit, "0.2", WAITING)


def console(host):
    return host.path("/run/console").read_text()


def off(host):
    told = host.path("/run/systemctl")
    return told.exists() and "start --no-block ec2-lab-power-off@idle.service" in told.read_text()


def sees(host, what):
    """Wait until the last look saw something."""
    return holds_within(20, lambda: host.path("/run/ec2-lab-idle").exists() and what in found(host))


def found(host):
    return host.path("/run/ec2-lab-idle").read_text()


def test_nothing_ends_it_but_that_nothing_is_done(idle_host, alice_key):
    host = idle_host
    login = subprocess.Popen([*host.ssh_line("alice", alice_key.file), "sleep 600"], stdin=subprocess.DEVNULL)
    begin(host)
    try:
        assert sees(host, "logins 1"), "a login without a terminal, as rsync's"
        login.terminate()
        for file, work, rest, what in (
            ("/run/gpu", "3\n80\n", "0\n", "GPU 80"),
            ("/run/gpu", "[N/A]\n", "0\n", "GPU can't be read"),
            ("/run/state", "activating\n", "failed\n", "command 1"),
            ("/run/state", "maintenance\n", "inactive\n", "command can't be read"),
            ("/run/stat", "", QUIET, "cores can't be read"),
        ):
            host.path(file).write_text(work)
            assert sees(host, what), found(host)
            host.path(file).write_text(rest)
        for file in ("/run/cloud-init/result.json", WAITING):
            host.path(file).unlink()
            assert sees(host, "set-up 1")
            host.write(file, "")
        assert holds_within(20, lambda: off(host)), found(host)
    finally:
        login.kill()
        login.wait()
    assert "ec2-lab: PROBLEM: GPU can't be read, which counts as work: ValueError" in console(host)
    assert "ec2-lab: all can be read again" in console(host)
    assert "ec2-lab: idle for 1 s, this instance ends" in console(host)


def test_a_gpu_that_does_not_answer_keeps_the_instance_and_is_said(idle_host):
    host = idle_host
    host.write(PROGRAM, sent_with("idle-shutdown.py", PATIENCE=0.3), mode=0o755)
    host.write("/usr/bin/nvidia-smi", "#!/bin/sh\nexec sleep 600\n", mode=0o755)
    begin(host, limit="0.5")
    assert sees(host, "hangs")
    assert not off(host)
    assert "PROBLEM: GPU can't be read, which counts as work: TimeoutExpired" in console(host)
