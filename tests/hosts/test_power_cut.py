"""The units of an experiment's command under systemd, which may lose its power, or whose start-up files end a login."""

import json

import pytest

from ec2lab.config.models import Experiment
from ec2lab.launch.parts.notifications import notification_files
from ec2lab.runs.command import command_files
from ec2lab.templates import text_of
from tests.hosts.host import Host
from tests.hosts.systemd import systemd_on
from tests.waiting import wait_until

INSTANCE = "i-0123456789abcdef0"
STATE = f"/var/lib/ec2-lab/{INSTANCE}"
TOPIC = "arn:aws:sns:us-east-1:123456789012:ec2-lab-lab"
AWS = """#!/bin/sh
[ "$1" = sns ] && { printf "%s\\n" "$*" >>/var/published; exit 0; }
for last; do :; done
cat >/var/put && mv /var/put "/var/bucket/${last##*/}"
"""
SAVING = """
import pathlib, signal, sys, time
def save(*_):
    time.sleep(0.5)
    pathlib.Path("saved").touch()
    sys.exit("saved")
signal.signal(signal.SIGTERM, save)
print("ready")
time.sleep(1000)
"""
BEGIN = ("systemctl", "enable", "--now", "--no-block", "experiment.service")
WHY = "the instance was started again while the command ran; the command does not run again"


@pytest.fixture
def instance(debian_with_systemd, tmp_path):
    """A function that boots an instance whose command is to be begun."""
    (tmp_path / "host").mkdir()
    host = Host(debian_with_systemd, tmp_path / "host")
    systemd = systemd_on(host)

    def boot(command):
        files = command_files("demo", Experiment(
            instance_types=["g5.xlarge"], command=command, artifact_uri="s3://lab-runs/of", instance_profile="writer",
        ))  # fmt: skip
        files |= notification_files(TOPIC, "lab", "demo")
        for path, (mode, text) in files.items():
            host.write(path, text, mode=int(mode, 8))
        host.write("/etc/systemd/system/ec2-lab-power-off@.service", text_of("ec2-lab-power-off@.service"))
        host.write("/usr/local/bin/aws", AWS, mode=0o755)
        host.run("useradd", "--create-home", "experiment")
        host.run("mkdir", "-p", "/var/bucket", STATE)
        host.run("ln", "-s", INSTANCE, "/var/lib/ec2-lab/instance")
        systemd.boot()
        return systemd

    yield boot
    systemd.stop()
    host.stop()


def put(host):
    """The log in the bucket, and how the command ended."""
    found = {path.name: path.read_text() for path in host.path("/var/bucket").iterdir()}
    ended = json.loads(found.pop("ended.json"))
    return "".join(text for _, text in sorted(found.items())), (ended["exit_code"], ended.get("why"))


def has_ended(host):
    return wait_until(host.path("/var/bucket/ended.json").exists)


def test_a_command_that_the_power_cut_off_has_ended_at_the_next_boot_with_all_its_log_in_the_bucket(instance):
    systemd = instance("echo epoch 1; sleep 1000")
    host = systemd.host
    systemd.run(*BEGIN)
    assert wait_until(
        lambda: host.path(f"{STATE}/log").exists() and "epoch 1\n" in host.path(f"{STATE}/log").read_text()
    )
    systemd.cut_power()
    systemd.boot()
    assert has_ended(host)
    assert put(host) == (f"epoch 1\nec2-lab: {WHY}\n", (137, WHY))
    systemd.run(*BEGIN)
    assert systemd.run("systemctl", "is-active", "experiment", "experiment-log.timer", check=False).stdout.split() == [
        "inactive", "inactive"
    ]  # fmt: skip
    assert put(host)[1] == (137, WHY), "it begins once"


def test_the_exit_code_is_written_when_what_saves_its_state_has_ended(instance):
    systemd = instance(f"python3 -c '{SAVING}'")
    log, saved = systemd.host.path(f"{STATE}/log"), systemd.host.path("/home/experiment/saved")
    systemd.run(*BEGIN)
    assert wait_until(lambda: log.exists() and "ready" in log.read_text())
    systemd.run("systemctl", "stop", "experiment.service")
    assert has_ended(systemd.host)
    assert saved.stat().st_mtime < systemd.host.path(f"{STATE}/ended.json").stat().st_mtime
    assert put(systemd.host) == (
        "ready\nsaved\nec2-lab: the command exited with status 143\n",
        (143, None),
    )


def test_a_login_that_ends_before_the_command_begins_is_no_success(instance):
    systemd = instance("echo trained")
    systemd.host.write("/etc/profile.d/own.sh", "exit 0\n")
    systemd.run(*BEGIN)
    assert has_ended(systemd.host)
    why = "the command never started: what a login does before it (/etc/profile) exited with status 0"
    assert put(systemd.host) == (f"ec2-lab: {why}\n", (1, why))


def test_the_end_of_the_command_and_of_the_instance_are_published_once_each(instance):
    systemd = instance("exit 3")
    published = systemd.host.path("/var/published")
    systemd.run(*BEGIN)
    told = f"--subject [lab] demo: its command exited with status 3 ({INSTANCE})"
    assert wait_until(lambda: published.exists() and told in published.read_text())
    assert f"--region us-east-1 --topic-arn {TOPIC}" in published.read_text()
    assert put(systemd.host)[1] == (3, None)
    systemd.run("systemctl", "start", "--no-block", "ec2-lab-power-off@idle.service")
    assert wait_until(lambda: "it terminates: it was idle" in published.read_text())
    assert published.read_text().count("--subject") == 2
