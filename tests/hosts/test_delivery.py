"""What a command waits for is brought to a real host over ssh, and begins it once."""

import json
import signal
import time

import pytest

from ec2lab.templates import text_of
from tests.hosts.instance import appear, let_in
from tests.hosts.test_secrets import user_data_of
from tests.lab_directory import REPOSITORY
from tests.test_runs import git
from tests.waiting import wait_until

LAB = 'regions = ["us-east-1"]\n[ssh]\nboot_timeout = "60s"\n'
EXPERIMENT = (
    'on_boot_failure = "teardown"\ninstance_types = ["g5.xlarge"]\ncommand = "python3 train.py"\n'
    'code = { path = "../speech" }\n'
)
SYSTEMCTL = """#!/bin/sh
echo "$@" >> /run/systemctl
case "$1" in
is-active) cat /run/state ;;
enable) echo activating > /run/state ;;
esac
"""
"""What stands in for systemd, which the host has not: it writes down what it was told, and what it was told last."""
CLOUD_INIT = '#!/bin/sh\ntest ! -e /run/slow || sleep 600\necho \'{"status": "done", "errors": []}\'\n'


@pytest.fixture
def there(host_with_sshd, lab, tmp_path, alice_key):
    """A host that could be an instance, and a lab with an experiment whose code it waits for."""
    repository = tmp_path / "speech"
    repository.mkdir()
    (repository / "train.py").write_text("print('one')\n")
    git(repository, "init", "--quiet")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "one")
    lab.write("lab.toml", LAB)
    lab.write("experiments/train.toml", EXPERIMENT)
    lab.variables = let_in(lab, host_with_sshd, "alice", alice_key, "/usr/bin/fish")
    host = host_with_sshd
    host.run("useradd", "--create-home", "experiment")
    for name, text in (("systemctl", SYSTEMCTL), ("cloud-init", CLOUD_INIT)):
        host.write(f"/usr/bin/{name}", text, mode=0o755)
    host.write("/run/state", "inactive\n")
    return lab, host


def launching(lab, cloud, host):
    """Launch, and let the host be the instance before it runs."""
    cloud.scenario(pending=600)
    process = lab.start("launch", EXP="train", **lab.variables)
    instances = wait_until(lambda: [m for m in cloud.inventory() if m["kind"] == "instance"])
    appear(cloud, lab, host, instances[0]["id"], "us-east-1")
    cloud.hurry()
    return process


def begins(host):
    """How often the command was begun."""
    told = host.path("/run/systemctl")
    return told.read_text().count("enable --now --no-block experiment.service") if told.exists() else 0


def test_the_code_arrives_whole_as_the_commands_own_account_and_then_it_begins(there, cloud):
    lab, host = there
    process = launching(lab, cloud, host)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, out + err
    assert "sending the code (commit " in out
    assert host.run("stat", "-c", "%U %n", "/home/experiment/code/train.py").stdout.startswith("experiment ")
    assert host.run("cat", "/home/experiment/code/train.py").stdout == "print('one')\n"
    assert begins(host) == 1
    assert any("launched" in (r.get("annotation") or {}) for r in lab.records())


def test_the_command_and_its_parameters_arrive_for_root_alone_and_stand_in_no_user_data_and_on_no_command_line(
    there, cloud, tmp_path
):
    lab, host = there
    lab.write(
        "experiments/train.toml", EXPERIMENT.replace("train.py", "train.py --quietly") + "parameters = {lr=0.7071}"
    )
    watching = {
        "COMMANDS": str(tmp_path / "commands"),
        "PYTHONPATH": f"{REPOSITORY}/tests/watched_processes:{REPOSITORY}",
    }
    lab.variables |= watching
    process = launching(lab, cloud, host)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, out + err
    assert host.run("stat", "-c", "%a %U:%G", "/opt/ec2-lab/experiment").stdout == "600 root:root\n"
    assert (
        "export lr=0.7071\ncd ~/code\npython3 train.py --quietly\n" in host.path("/opt/ec2-lab/experiment").read_text()
    )
    user_data = user_data_of(cloud)
    unit = host.run("stat", "-c", "%a %U:%G", "/etc/systemd/system/experiment.service")
    assert unit.stdout == "644 root:root\n", "the units come this way too"
    started = (tmp_path / "commands").read_text()
    assert "ssh" in started, "the watch works"
    for text in (user_data, started, lab.registry.read_text()):
        assert "--quietly" not in text
    assert "0.7071" not in user_data + started


def waiting_for_the_set_up(lab, cloud, host):
    """A launch that has come as far as that."""
    process = launching(lab, cloud, host)
    for line in process.stdout:
        if "waiting for its set-up" in line:
            break
    return process


def test_a_launch_killed_before_the_delivery_is_gone_on_with_and_brings_it_once(there, cloud):
    lab, host = there
    host.write("/run/slow", "")
    process = waiting_for_the_set_up(lab, cloud, host)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    host.path("/run/slow").unlink()
    assert begins(host) == 0
    again = lab.run("launch", EXP="train", **lab.variables)
    assert again.code == 0, again.out + again.err
    assert "was created by an interrupted launch; resuming" in again.out
    assert begins(host) == 1
    assert len(cloud.calls("RunInstances")) == 1
    third = lab.run("launch", EXP="train", **lab.variables)
    assert "train is already live" in third.error


def test_an_instance_whose_members_shell_runs_nothing_is_not_taken_down_for_that(there, cloud):
    lab, host = there
    lab.write("lab.toml", LAB.replace("60s", "3s"))
    host.run("usermod", "--shell", "/usr/sbin/nologin", "alice")
    _, err = launching(lab, cloud, host).communicate(timeout=90)
    assert "the login shell runs no /bin/sh (it ended with 1; it printed: This account is currently not av" in err
    assert "train: cloud-init failed" not in err
    (state,) = [m["state"] for m in cloud.inventory() if m["kind"] == "instance"]
    assert state == "running"


def test_ctrl_c_ends_a_launch_that_waits_for_a_host(there, cloud):
    lab, host = there
    host.write("/run/slow", "")
    process = waiting_for_the_set_up(lab, cloud, host)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert "interrupted" in err


def test_a_command_that_has_begun_keeps_its_code(there, cloud):
    lab, host = there
    host.write("/run/state", "active\n")
    host.write("/var/lib/ec2-lab/instance/delivered", 64 * "0")
    process = launching(lab, cloud, host)
    _, err = process.communicate(timeout=90)
    assert process.returncode == 1
    assert "train: its command has already started, with other code, parameters or another command; `make tear" in err
    assert "again to continue" not in err
    assert begins(host) == 0
    assert not host.path("/home/experiment/code").exists()
    never = "the command never started: its secrets were not delivered within an hour of the boot"
    host.write("/var/lib/ec2-lab/instance/delivered", never)
    again = lab.run("launch", EXP="train", **lab.variables)
    assert again.error == f"error: train: {never}; `make teardown EXP=train`, and launch again"


def test_code_that_did_not_arrive_whole_begins_nothing(there, cloud):
    _, host = there
    told = json.dumps({"run": "", "code": "0" * 64, "files": {}})
    host.write("/root/receive.py", text_of("install-code.py"))
    done = host.run("sh", "-c", '(echo "$0"; echo x | gzip) | python3 /root/receive.py', told, check=False)
    assert done.returncode == 1
    assert "the code did not arrive whole" in done.stderr
    assert begins(host) == 0


def test_members_whom_the_user_data_has_no_room_for_get_their_accounts_when_the_instance_is_reached(
    there, cloud, alice_key
):
    lab, host = there
    for number in range(20):
        lab.write(f"members/member{number:02}.toml", f'keys = ["{alice_key.line}"]\ngroups = []\n')
    planned = lab.run("plan", EXP="train", JSON="1", **lab.variables).out
    assert "member09" in planned
    assert "member12" not in planned, "alice is among them, who makes the others"
    process = launching(lab, cloud, host)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, out + err
    assert "train: the other members' accounts were created" in out
    assert host.run("getent", "passwd", "member19").stdout.startswith("member19:")
