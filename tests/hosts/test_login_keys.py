"""The lab's own ssh configuration offers the member's key, wherever that is, and no other."""

import json
import os
import signal
import subprocess

import pytest

from ec2lab.config.lab_files import load_members
from tests.hosts.instance import appear
from tests.hosts.test_delivery import CLOUD_INIT
from tests.waiting import wait_until

LAB = 'regions = ["us-east-1"]\n[ssh]\nboot_timeout = "60s"\n'


@pytest.fixture
def home(host_with_sshd, lab, tmp_path):
    """A user's home whose ssh configuration says where the host listens, and names no key."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    (home / ".ssh/config").write_text(f"Match host 127.0.0.1\n  Port {host_with_sshd.port}\n")
    host_with_sshd.write("/usr/bin/cloud-init", CLOUD_INIT, mode=0o755)
    lab.write("lab.toml", LAB)
    lab.write("experiments/train.toml", 'instance_types = ["g5.xlarge"]\n')
    return home


@pytest.fixture
def agent(tmp_path):
    """An agent with more keys than sshd lets anybody try."""
    started = subprocess.run(["ssh-agent", "-c", "-a", tmp_path / "agent"], capture_output=True, text=True, check=True)
    process = int(started.stdout.split("SSH_AGENT_PID ")[1].split(";")[0])
    environment = {**os.environ, "SSH_AUTH_SOCK": str(tmp_path / "agent")}

    def add(*paths):
        subprocess.run(["ssh-add", "-q", *paths], env=environment, check=True)

    for number in range(8):
        other = tmp_path / f"other-{number}"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
        add(other)
    yield add
    os.kill(process, signal.SIGTERM)


def launched(lab, cloud, host, script="launch", **variables):
    """Launch, or start again, and let the host be the instance before it runs; return how that ended."""
    cloud.scenario(pending=600)
    process = lab.start(script, EXP="train", JSON="1", **variables)
    instances = wait_until(
        lambda: [m for m in cloud.inventory() if (m["kind"], m.get("state")) == ("instance", "pending")]
    )
    appear(cloud, lab, host, instances[0]["id"], "us-east-1")
    cloud.hurry()
    out, err = process.communicate(timeout=90)
    return process.returncode, out, err


def accounts(lab, host, member):
    """Give the members of the lab the accounts on the host that a boot would make."""
    (line,) = load_members(lab.path)[member].keys
    host.accounts({"members": {member: {"keys": [line], "shell": "/bin/bash", "sudo": "nopasswd"}}})


def test_the_key_that_user_add_made_logs_in(home, lab, cloud, host_with_sshd, agent, tmp_path):
    """Whatever else the agent holds: sshd hangs up after six keys that it does not know."""
    variables = {"HOME": str(home), "MEMBER": "first.last", "SSH_AUTH_SOCK": str(tmp_path / "agent")}
    assert lab.run("user_add", NAME="first.last", **variables).code == 0
    accounts(lab, host_with_sshd, "first.last")
    code, out, err = launched(lab, cloud, host_with_sshd, **variables)
    assert code == 0, err
    assert "logged in; waiting for its set-up" in out
    assert "not seen" not in out


def test_a_key_that_an_agent_alone_has_logs_in_and_its_comment_is_the_same_on_the_host(
    home, lab, cloud, host_with_sshd, agent, tmp_path
):
    key = tmp_path / "alice"
    comment = "\U0001f511 a\u0301 'b' \\ \u00a0c"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-C", comment, "-f", key], check=True)
    variables = {"HOME": str(home), "MEMBER": "alice", "SSH_AUTH_SOCK": str(tmp_path / "agent")}
    assert lab.run("user_add", NAME="alice", KEY=f"{key}.pub", **variables).code == 0
    agent(key)
    key.unlink()
    accounts(lab, host_with_sshd, "alice")
    code, out, err = launched(lab, cloud, host_with_sshd, **variables)
    assert code == 0, err
    assert "logged in; waiting for its set-up" in out
    assert (home / ".ssh/known_hosts").exists() is False
    assert lab.run("users", HOST="train", **variables).code == 0
    assert "nothing to change" in lab.run("users", HOST="train", **variables).out
    assert "\U0001f511 a\u0301" in host_with_sshd.path("/home/alice/.ssh/authorized_keys").read_text()


def test_who_has_no_key_is_told_before_the_launch_and_waits_no_longer_than_until_sshd_refuses(
    home, lab, cloud, host_with_sshd, agent, alice_key, bob_key, tmp_path
):
    """The instance runs on, the exit code says that nobody saw whether it is well, and whose key is here is said."""
    lab.write("lab.toml", LAB.replace("60s", "1d"))
    lab.write("members/alice.toml", f'keys = ["{alice_key.line}"]\n')
    lab.write("members/bob.toml", f'keys = ["{bob_key.line}"]\n')
    agent(bob_key.file)
    accounts(lab, host_with_sshd, "alice")
    variables = {"HOME": str(home), "MEMBER": "alice", "SSH_AUTH_SOCK": str(tmp_path / "agent")}
    code, out, err = launched(lab, cloud, host_with_sshd, **variables)
    events = [json.loads(line) for line in out.splitlines()]
    why = "no private key of alice's is here, neither in ~/.ssh nor in the agent (members/alice.toml)"
    who = "the key here is bob's: MEMBER=bob says that you are"
    told = next(
        n for n, event in enumerate(events) if event.get("message", "").startswith("nobody will be able to log in")
    )
    assert why in events[told]["message"]
    assert told < next(n for n, event in enumerate(events) if event["event"] == "instance-pending")
    assert [event["event"] for event in events][-1] == "ssh-ready"
    assert code == 1
    assert f"error: train: {why}; {who}; train keeps running: `make ssh EXP=train` logs in" in err
    assert [m["state"] for m in cloud.inventory() if m["kind"] == "instance"] == ["running"]
    shown = lab.run("ssh", EXP="train", **variables).err
    assert f"{why}; {who}\n" in shown.partition("Load key")[0], "before ssh's own words"
    assert lab.run("stop", EXP="train", YES="1", **variables).code == 0
    code, out, err = launched(lab, cloud, host_with_sshd, "start", **variables)
    assert (code, f"error: train: {why}; {who}; train keeps running: " in err) == (1, True)
    variables.pop("MEMBER")
    lab.write("experiments/other.toml", 'instance_types = ["g5.xlarge"]\n')
    ended = lab.launch("other", LOGNAME="somebody.else", USER="somebody.else", **variables)
    assert ended.code == 0, "nobody is to look"
    assert f"nobody here is a member (members/); {who}" in ended.out
