"""An experiment's command on a virtual machine: its code arrives, its log is followed, its exit code outlives it.

Then an image is made of that instance, and another experiment begins with it.
"""

import json
import re
import time
from dataclasses import dataclass
from hashlib import sha256

import pytest

from tests.lab_directory import Ended
from tests.test_fetch_secrets import ODD
from tests.vm.conftest import disk
from tests.vm.instance import Instance
from tests.vm.proxy import proxy
from tests.vm.tools import plugin

pytestmark = pytest.mark.vm

EXPERIMENT = """
instance_types = ["g5.xlarge"]
command = "python3 train.py"
code = { path = "../code" }
parameters = { lr = 0.1 }
artifact_uri = "s3://lab-runs/of"
instance_profile = "writer"
on_completion = "teardown"
ttl = "1h"
[[scratch]]
mount = "/scratch"
size_gib = 1
[secrets]
HF_TOKEN = "env:HUB"
DB_PASSWORD = "ssm:/speech/db"
WANDB_API_KEY = "secretsmanager:wandb#key"
"""
AGAIN = """
instance_types = ["g5.xlarge"]
command = "python3 train.py"
code = { path = "../code" }
parameters = { lr = 0.2 }
ttl = "5h"
[[scratch]]
mount = "/work"
size_gib = 1
"""
TRAIN = """
import getpass, hashlib, os, pathlib, sys, time, urllib.request
print("lr", os.environ["lr"], "as", getpass.getuser(), "in", pathlib.Path.cwd(), flush=True)
proxies = urllib.request.getproxies()
print(proxies.keys() >= {"http", "https"}, urllib.request.proxy_bypass("169.254.169.254"), flush=True)
for name in "HF_TOKEN", "DB_PASSWORD", "WANDB_API_KEY":
    if name in os.environ:
        print(hashlib.sha256(os.environb[name.encode()]).hexdigest(), flush=True)
while not pathlib.Path("/run/go-on").exists():
    time.sleep(0.2)
print("the last word")
sys.exit(3)
"""
BEGIN = "lr 0.1 as experiment in /home/experiment/code\nTrue True\n"
SECRET = f"planted{ODD}"
DIGEST = f"{sha256(SECRET.encode()).hexdigest()}\n"
LOG = f"{BEGIN}{3 * DIGEST}the last word\nec2-lab: the command exited with status 3\n"
SEARCH = """
echo planted | sudo tee /dev/shm/needle >/dev/null; systemctl is-active experiment-deadline >&2 || echo no deadline
sudo find / /run /dev/shm -xdev -path /proc -prune -o -path /var/lib/dpkg -prune -o -type f -newer /etc/hostname \
    -exec grep -lFf /dev/shm/needle {} + | sort -u
"""
WHY = "the instance was started again while the command ran; the command does not run again"
CLEAN = "sudo cloud-init clean --logs --machine-id"
"""What people do before they make an image; at the next boot cloud-init takes the instance for a new one."""
DEADLINE = "cat /etc/systemd/system/ec2-lab-time-to-live.timer.d/deadline.conf"
HOST_KEY, END_OF_KEYS = r"ssh-ed25519 \S+", "END SSH HOST KEY KEYS"


@pytest.fixture(scope="module")
def through():
    """A proxy that instances are behind."""
    server = proxy()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def launched(laboratory, tools, through, tmp_path_factory):
    """An instance that runs the experiment, and how its launch ended."""
    laboratory.prepare_run("train.py", TRAIN)
    laboratory.directory.write("experiments/train.toml", EXPERIMENT)
    laboratory.directory.write("plugins/tools.py", plugin(laboratory.cloud, through.server_address[1]))
    ssm, manager = (laboratory.cloud.client(service, "us-east-1") for service in ("ssm", "secretsmanager"))
    ssm.put_parameter(Name="/speech/db", Value=SECRET, Type="SecureString")
    manager.create_secret(Name="wandb", SecretString=json.dumps({"key": SECRET}))
    scratch = tmp_path_factory.mktemp("disks")
    return laboratory.launch("train", lambda volumes: [tools, disk(scratch, volumes["/dev/sdf"])], HUB=SECRET)


@dataclass(frozen=True)
class Followed:
    """The experiment's instance, off again, and what was seen of it while its command ran."""

    instance: Instance
    command_file: str
    with_secret: str
    """The files there that hold the secret, besides the one that the search was to find."""
    logs: Ended
    """A `make logs` that began while the command ran."""
    wait: Ended
    proxied: set[str]


@pytest.fixture(scope="module")
def followed(launched, laboratory, through):
    """Follow the experiment until its instance has ended itself."""
    instance, ended = launched
    assert ended.code == 0, ended.out + ended.err + instance.console[-3000:]
    assert "sending the code (commit " in ended.out
    following = laboratory.directory.start("logs", EXP="train", **laboratory.variables)
    first = following.stdout.readline()
    waiting = laboratory.directory.start("wait", EXP="train", **laboratory.variables)
    looked = laboratory.ssh("train", "stat -c '%a %U' /opt/ec2-lab/experiment; cat /opt/ec2-lab/experiment")
    found = laboratory.ssh("train", SEARCH)
    laboratory.ssh("train", f"findmnt /scratch && {CLEAN} && sudo touch /run/go-on")
    out, err = following.communicate(timeout=300)
    logs = Ended(following.returncode, first + out, err)
    out, err = waiting.communicate(timeout=300)
    wait = Ended(waiting.returncode, out, err)
    instance.wait_until_off()
    return Followed(instance, looked.stdout, found.stdout, logs, wait, set(through.RequestHandlerClass.asked))


def test_the_command_runs_in_its_code_is_followed_and_ends_its_instance_when_all_is_told(followed, laboratory):
    instance = followed.instance
    assert followed.command_file == "600 experiment\n", "and a member can't read it"
    assert followed.with_secret == "/dev/shm/needle\n", "the search works, and nothing else is found"
    assert followed.logs.code == 0, followed.logs.err
    assert followed.logs.out == LOG
    assert (followed.wait.code, followed.wait.out) == (3, "train: exited with status 3\n"), followed.wait.err
    assert "ec2-lab: powering off: completion" in instance.console
    s3 = laboratory.cloud.client("s3", "us-east-1")
    place = f"of/train/{instance.instance}"
    found = [entry["Key"] for entry in s3.list_objects_v2(Bucket="lab-runs", Prefix=f"{place}/")["Contents"]]
    assert f"{place}/ended.json" in found
    log = b"".join(s3.get_object(Bucket="lab-runs", Key=key)["Body"].read() for key in found if "/log/" in key)
    assert log.decode() == LOG
    assert followed.proxied == {"169.254.169.253"}, "all of it, and nothing for the metadata service"
    log = laboratory.run("logs", EXP="train")
    assert log.code == 0, log.err
    assert log.out == LOG
    assert laboratory.run("wait", EXP="train").code == 3
    assert laboratory.run("teardown", EXP="train").code == 0
    assert laboratory.run("wait", EXP="train").code == 3


@pytest.fixture(scope="module")
def baked(followed, laboratory, tools, tmp_path_factory):
    """An instance made from an image of the experiment's, which another experiment was launched on, and that launch."""
    (laboratory.directory.path / "members/bob.toml").unlink()
    laboratory.directory.write("experiments/again.toml", AGAIN)
    scratch = tmp_path_factory.mktemp("disks")
    return laboratory.launch("again", lambda volumes: [tools, disk(scratch, volumes["/dev/sdf"])], followed.instance)


@dataclass(frozen=True)
class SeenAsNew:
    """What was seen of the instance from the image before anything else happened to it."""

    console: str
    shown: str
    logins: dict[str, int]


@pytest.fixture(scope="module")
def seen_as_new(baked, laboratory):
    """Look at the instance from the image; what cuts its power later takes this too, whichever test comes first."""
    instance, ended = baked
    assert ended.code == 0, ended.out + ended.err + instance.console[-3000:]
    shown = laboratory.ssh(
        "again",
        "ls /var/lib/ec2-lab/instance/ /var/lib/cloud/instances; findmnt /scratch; grep scratch /etc/fstab;"
        f"{DEADLINE}; ls /etc/systemd/system /opt/ec2-lab; systemctl list-timers ec2-lab-time-to-live.timer",
    )
    logins = {user: laboratory.ssh("again", "true", user=user).returncode for user in ("bob", "carol")}
    return SeenAsNew(instance.console, shown.stdout, logins)


def test_an_image_of_a_used_instance_is_as_good_as_new(followed, baked, seen_as_new):
    used, (instance, _) = followed.instance, baked
    assert f"ec2-lab: this is {instance.instance}, made from an image of another instance" in seen_as_new.console
    assert "PROBLEM" not in seen_as_new.console
    assert instance.instance in seen_as_new.shown
    assert used.instance not in seen_as_new.shown
    assert "ended.json" not in seen_as_new.shown
    assert "scratch" not in seen_as_new.shown
    assert "upload-log" not in seen_as_new.shown
    deadline = int(re.search(r"OnCalendar=@(\d+)", seen_as_new.shown)[1])
    assert 4 * 3600 < deadline - time.time() < 5 * 3600
    assert seen_as_new.logins == {"bob": 255, "carol": 0}, "bob left before the image was used"
    assert not set(re.findall(HOST_KEY, used.console)) & set(re.findall(HOST_KEY, seen_as_new.console))


def test_after_a_power_cut_and_a_clean_of_cloud_init_an_instance_is_what_it_was(baked, seen_as_new, laboratory):
    assert seen_as_new.logins["carol"] == 0
    instance, _ = baked
    removed = laboratory.run("user_remove", NAME="carol", HOST="again")
    assert removed.code == 0, removed.err
    before = laboratory.ssh("again", f"{DEADLINE}; echo kept | sudo tee /work/kept; {CLEAN}; sudo sync").stdout
    instance.stop()  # while the command runs
    keys = instance.console.count(END_OF_KEYS)
    instance.boot()
    instance.wait_for_console(END_OF_KEYS, times=keys + 1)
    refused = laboratory.run("users", HOST="again", DRY_RUN="1")
    assert "it has a new key since a `cloud-init clean` there" in refused.err
    (laboratory.directory.path / ".ssh/known_hosts/again").unlink()
    ended = laboratory.run("wait", EXP="again")
    assert (ended.code, WHY in ended.out) == (137, True), ended.out + ended.err
    assert laboratory.run("logs", EXP="again").out == f"{BEGIN.replace('0.1', '0.2')}ec2-lab: {WHY}\n", "begun once"
    after = laboratory.ssh("again", f"cloud-init status --wait >/dev/null; {DEADLINE}; cat /work/kept; findmnt /work")
    assert after.stdout.startswith(before)
    assert "/work" in after.stdout.removeprefix(before)
    assert laboratory.ssh("again", "systemctl is-active experiment").stdout == "inactive\n"
    assert len(re.findall("is mounted on /work, read-write, formatted", instance.console)) == 1
    assert laboratory.ssh("again", "true", user="carol").returncode == 255, "removed after the launch, she stays so"
    assert instance.console.count("made from an image of another instance") == 1
