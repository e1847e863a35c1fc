"""Stand-ins answer ssh for the local cloud's instances: sshd on this computer, as the user, until the instance ends."""

import json
import os
import shutil
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from local_cloud.ssh_stand_in import sshd
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sshd() is None, reason="stand-ins need an sshd: apt-get install openssh-server")


@pytest.fixture
def launched(lab, cloud):
    """A lab with a running instance of the demo."""
    cloud.scenario(stand_ins=True)
    assert lab.launch().code == 0
    return lab


def test_the_tour_of_the_demo_works_on_a_stand_in_and_nothing_runs_as_root(launched, cloud):
    (instance,) = [one["id"] for one in launched.status()]
    home = (launched.path / ".local-cloud").resolve() / "instances" / instance / "home"
    launched.write("code/train.py", "print('it trains')\n")
    assert launched.run("push", EXP="demo", SOURCE="code", DEST="code").code == 0
    ran = launched.run("exec", EXP="demo", CMD="pwd; id -u; python3 code/train.py; cp code/train.py out.txt")
    assert ran.out == f"{home}\n{os.getuid()}\nit trains\n"
    assert ran.err == "demo: a stand-in on this computer answers in its place, as you; nothing is isolated\n"
    cloud.scenario(stand_ins=True, initialization_seconds=10_000)
    cloud.advance(4_130)
    title, _, row = launched.run("top", EXP="demo").out.splitlines()
    assert row[title.index("data loaded") :].startswith("41%")
    assert launched.run("pull", EXP="demo", SOURCE="out.txt", DEST="got/").code == 0
    assert (launched.path / "got/out.txt").read_text() == "print('it trains')\n"
    launched.write("members/alice.toml", f'keys = ["{(home.parent / "authorized_keys").read_text().strip()}"]\n')
    for script, more in {"users": {}, "volume_mount": {"DATASET": "speech", "MOUNT": "/more"}}.items():
        refused = launched.run(script, HOST="demo", **more)
        assert "nothing runs as root" in refused.err
        assert refused.code == 1
    assert not cloud.calls("CreateVolume"), "nothing is created for what cannot be mounted"


def test_what_is_not_the_stand_ins_is_never_deleted(launched):
    launched.write("code/train.py", "print('it trains')\n")
    launched.write("mine/thesis.txt", "final")
    refused = launched.run("push", EXP="demo", SOURCE="code", DEST=str(launched.path / "mine"), DELETE="1")
    assert "is a directory of your own computer, not of the stand-in: DELETE=1 is refused" in refused.err
    assert (launched.path / "mine/thesis.txt").read_text() == "final"
    assert launched.run("push", EXP="demo", SOURCE="code", DEST="code", DELETE="1").code == 0


def test_what_runs_on_a_stand_in_ends_with_its_instance(launched):
    begun = launched.run("exec", EXP="demo", CMD="setsid sleep 983 >/dev/null 2>&1 & echo $!")
    process = Path(f"/proc/{int(begun.out)}")
    if not process.parent.joinpath("self").exists():
        pytest.skip("without /proc only sshd itself is ended")
    assert b"983" in process.joinpath("cmdline").read_bytes()
    assert launched.teardown().code == 0
    wait_until(lambda: not process.exists() or b"983" not in process.joinpath("cmdline").read_bytes())
    ended = launched.run("exec", EXP="demo", CMD="true")
    assert ended.error.startswith("error: demo: no running instance")


def test_ports_are_closed_also_when_their_command_is_killed(launched):
    with TemporaryDirectory() as place:  # tmp_path is too long for the path of a socket
        process = launched.start("forward", EXP="demo", PORTS="1", JSON="1", TMPDIR=place)
        port = json.loads(process.stdout.readline())["local_port"]
        assert port != 1, "the instance is this computer: a port forwarded to itself connects to itself without end"
        assert socket.socket().connect_ex(("127.0.0.1", port)) == 0
        assert list(Path(place).iterdir())
        process.kill()
        process.communicate()
        wait_until(lambda: not list(Path(place).iterdir()))
        wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) != 0)


def test_a_console_that_a_real_host_has_yet_to_write_shows_no_key_of_a_stand_in(launched, cloud):
    (instance,) = launched.status()
    ec2 = cloud.client("ec2", instance["region"])
    assert "BEGIN SSH HOST KEY KEYS" in ec2.get_console_output(InstanceId=instance["id"])["Output"]
    cloud.scenario()
    assert "BEGIN SSH" not in ec2.get_console_output(InstanceId=instance["id"])["Output"]
    cloud.scenario(stand_ins=True)
    cloud.host(instance["id"], instance["region"], "127.0.0.1", "")
    assert ec2.get_console_output(InstanceId=instance["id"])["Output"] == ""


def test_without_an_sshd_one_line_says_what_to_install(launched, cloud_directory, tmp_path):
    away = shutil.move(cloud_directory / "ssh-config", tmp_path / "away")
    try:
        ended = launched.run("ssh", EXP="demo")
    finally:
        shutil.move(away, cloud_directory / "ssh-config")
    assert ended.error.startswith("error: the local cloud's instances answer ssh only on a computer with sshd")
    assert "apt-get install openssh-server" in ended.error
