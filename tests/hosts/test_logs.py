"""A command's log is followed over ssh, by as many as like to, and across connections that break off."""

import json

import pytest

from tests.hosts.machine import be_the_machine

LAB = 'regions = ["us-east-1"]\n'
LOG = "/var/lib/ec2-lab/instance/log"
SESSIONS = "for session in $(pgrep -P $(cat /run/sshd.pid)); do kill $session $(pgrep -P $session); done"
"""Ends every connection."""


@pytest.fixture
def running(lab, cloud, host_with_sshd, alice_key):
    """A lab whose experiment runs on a real host, that host, and the variables of who logs in."""
    lab.write("lab.toml", LAB)
    lab.write("experiments/demo.toml", 'types = ["g5.xlarge"]\ncommand = "python3 train.py"\n')
    assert lab.launch().code == 0
    variables, *_ = be_the_machine(cloud, lab, host_with_sshd, "alice", alice_key)
    lab.write("lab.toml", LAB + '[ssh]\nwait = "60s"\n')  # a machine that boots
    host_with_sshd.write(LOG, "epoch 1\n")
    host_with_sshd.write("/run/ec2-lab/output", "")
    return lab, host_with_sshd, variables


def test_two_read_at_once_each_line_once_though_their_connections_break_off(running):
    lab, host, variables = running
    readers = [lab.start("logs", EXP="demo", JSON="1", **variables) for _ in range(2)]
    for reader in readers:
        assert json.loads(reader.stdout.readline())["text"] == "epoch 1"
    with host.path(LOG).open("a") as log:
        log.write("epoch 2\nepo")
        log.flush()
        for reader in readers:
            assert json.loads(reader.stdout.readline())["text"] == "epoch 2"
        host.run("bash", "-c", SESSIONS)
        log.write("ch 3\nepoch 4\n")
    host.write("/var/lib/ec2-lab/instance/ended.json", '{"exit_code": 0, "at": "2026-11-24T10:00:00Z"}')
    for reader in readers:
        out, err = reader.communicate(timeout=60)
        assert reader.returncode == 0, err
        assert [json.loads(line)["text"] for line in out.splitlines()] == ["epoch 3", "epoch 4"]
        assert "demo: " in err
        assert "the log goes on from where it broke off" in err


def test_the_log_of_a_machine_that_cannot_be_logged_in_to_is_one_clear_error_at_once(running):
    lab, _, variables = running
    (lab.path.parent / "home/.ssh/config").write_text("Match host 127.0.0.1\n  Port 1\n")
    ended = lab.run("logs", EXP="demo", **variables)
    assert ended.code == 1
    assert "error: demo: " in ended.err
