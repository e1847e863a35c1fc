"""A day of an experiment in a container, from its launch to its teardown, with a spot interruption in between."""

import json
from dataclasses import dataclass
from hashlib import sha256

import pytest

from tests.hosts.image_registry import ImageRegistry
from tests.lab_directory import Ended
from tests.vm.conftest import SEEDED, Laboratory, disk
from tests.vm.instance import Instance
from tests.vm.qemu import wait_until
from tests.vm.test_run import SEARCH, SECRET
from tests.vm.tools import HOST, plugin

pytestmark = pytest.mark.vm

EXPERIMENT = """
instance_types = ["g5.xlarge"]
markets = ["spot"]
on_interruption = "relaunch"
container = "{image}:1"
command = "sh train.sh"
code = {{ path = "../code" }}
artifact_uri = "s3://lab-runs/of"
instance_profile = "writer"
outputs = "/outputs"
sync_every = "1d"
ttl = "1h"
[[data]]
dataset = "speech"
mount = "/data"
read_only = true
[secrets]
HF_TOKEN = "env:HUB"
DB_PASSWORD = "ssm:/speech/db"
"""
TRAIN = """
echo "$(id -u) in $PWD of image $FROM_IMAGE has $(cat /data/sample), resumed $RESUMED"
for secret in "$HF_TOKEN" "$DB_PASSWORD"; do printf %s "$secret" | sha256sum; done
echo shared >/dev/shm/written
test "$RESUMED" = 0 || echo "goes on at $(cat /outputs/step)"
echo 7 >/outputs/step
until test -e ~/go-on; do sleep 0.5; done
echo whole >/outputs/model
(: </dev/nvidia0) && echo "the last word"
"""
DIGEST = f"{sha256(SECRET.encode()).hexdigest()}  -\n"
BEGIN = "1000 in /home/experiment/code of image one has speech, resumed {}\n" + 2 * DIGEST
END = "goes on at 7\nthe last word\nec2-lab: the command exited with status 0\n"
GPU = """
cd /sys/bus/pci/devices/0000:00:03.0
echo 0x10de >/run/vendor; mount --bind /run/vendor vendor
echo 0x030200 >/run/class; mount --bind /run/class class
mknod -m 666 /dev/nvidia0 c 10 183
rm /dev/char/10:183
"""
"""Makes the network interface a GPU, and hwrng its device, which docker gives to no container by itself."""
DAEMON = {"insecure-registries": ["169.254.0.0/16"], "bridge": "none", "iptables": False, "ip6tables": False}
"""The test's registry has no certificate. A network that no container uses takes seconds to set up."""
DOCKER = f"""
from ec2lab.launch.part import LaunchPart, LaunchFragment
from ec2lab.plugins import hookimpl


class Docker(LaunchPart):
    name = "docker"
    order = 18

    def share(self, site):
        daemon = {{"path": "/etc/docker/daemon.json", "content": {json.dumps(DAEMON)!r}}}
        toolkit = {{"path": "/usr/local/bin/nvidia-container-runtime-hook", "permissions": "0755"}}
        files = [daemon, {{**toolkit, "content": "#!/bin/sh\\n"}}]
        return LaunchFragment(cloud_init={{"write_files": files, "runcmd": [["sh", "-ec", {GPU!r}]]}})


@hookimpl
def lab_launch_parts():
    return [Docker()]
"""
"""Also brings what docker looks for as the NVIDIA Container Toolkit."""


@pytest.fixture(scope="module")
def images():
    """A registry of container images, as instances reach it."""
    registry = ImageRegistry(HOST)
    yield registry
    registry.stop()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A function that gives an instance its tools and a volume of the dataset."""
    scratch = tmp_path_factory.mktemp("disks")
    (files := scratch / "files").mkdir()
    (files / "sample").write_text("speech")
    return lambda volumes: [disk(scratch, volumes["/dev/sdf"], kind="ext4", U=SEEDED, files=files)]


@dataclass(frozen=True)
class Day:
    """What was seen from the launch to the end of the command."""

    first: Instance
    second: Instance
    digest: str
    exec: Ended
    top: Ended
    with_secret: str
    """Files with the secret on the first instance, besides the one that the search was to find."""
    said: list[dict]
    """By the watch."""
    logs: list[Ended]
    """Of each instance."""


@pytest.fixture(scope="module")
def day(laboratory: Laboratory, tools, images, data):
    """Launch the experiment, look at it, interrupt it, and let the second instance's command end."""
    prepare(laboratory, images)
    digest = images.push("1", FROM_IMAGE="one")
    first, launch = laboratory.launch("train", lambda volumes: [tools, *data(volumes)], HUB=SECRET)
    assert launch.code == 0, launch.err + first.console[-3000:]
    lab, variables = laboratory.directory, laboratory.variables
    following = lab.start("logs", EXP="train", **variables)
    begun = "".join(following.stdout.readline() for _ in range(3))
    watching = lab.start("watch", EXP="train", JSON="1", HUB=SECRET, **variables)
    inspect = "sudo docker inspect ec2-lab-experiment; sudo stat -c %U /dev/shm/written"
    looked, top = laboratory.run("exec", EXP="train", CMD=inspect), laboratory.run("top", EXP="train", JSON="1")
    found = laboratory.ssh("train", SEARCH)

    images.push("1", FROM_IMAGE="two")  # of which the second instance is to know nothing
    first.announce_interruption()
    said = until(watching, "interrupted")
    outputs = f"of/train/{first.instance}/outputs/"
    s3 = laboratory.cloud.client("s3", "us-east-1")
    wait_until(lambda: s3.list_objects_v2(Bucket="lab-runs", Prefix=outputs)["KeyCount"], "the upload at the notice")
    first.stop()
    laboratory.cloud.end(first.instance, first.region, "Server.SpotInstanceTermination")
    out, err = following.communicate(timeout=300)
    interrupted = Ended(following.returncode, begun + out, err)
    second = laboratory.boot("train", lambda volumes: [tools, *data(volumes)])
    said += until(watching, "relaunched")
    following = lab.start("logs", EXP="train", **variables)
    extended = laboratory.run("ttl_set", EXP="train", TTL="2h")  # systemd reloads
    assert extended.code == 0, extended.err
    laboratory.ssh("train", "sudo touch /home/experiment/go-on")
    out, err = following.communicate(timeout=300)
    logs = [interrupted, Ended(following.returncode, out, err)]
    said += until(watching, "command-exited")
    watching.kill()
    watching.communicate()
    return Day(first, second, digest, looked, top, found.stdout, said, logs)


def prepare(laboratory: Laboratory, images: ImageRegistry) -> None:
    """Write the experiment, its code and the instances' plugins, and make what it needs in AWS."""
    lab, cloud = laboratory.directory, laboratory.cloud
    laboratory.prepare_run("train.sh", TRAIN)
    lab.write("experiments/train.toml", EXPERIMENT.format(image=images.name))
    lab.write("plugins/tools.py", plugin(cloud))
    lab.write("plugins/docker.py", DOCKER)
    cloud.client("ssm", "us-east-1").put_parameter(Name="/speech/db", Value=SECRET, Type="SecureString")


def until(watching, event: str) -> list[dict]:
    """Return what a watch prints up to an event."""
    events = []
    for line in watching.stdout:
        events.append(json.loads(line))
        if events[-1]["event"] == event:
            return events
    raise AssertionError(f"no {event} in {events}, {watching.communicate()[1]}")


def test_the_command_has_its_code_data_secrets_account_and_shared_memory_in_the_container(day):
    assert day.logs[0].out.startswith(BEGIN.format(0))
    shown = day.exec.out.rpartition("]\n")
    (inspected,) = json.loads(shown[0] + "]")
    assert (day.exec.code, shown[2]) == (0, "experiment\n"), day.exec.err
    assert inspected["Image"].startswith("sha256:")
    assert "planted" not in day.exec.out
    assert day.with_secret == "/dev/shm/needle\n", "the search works, and nothing else is found"
    (top,) = day.top.events
    assert (top["line"], top["problem"]) == (DIGEST.strip(), "")


def test_a_relaunch_has_the_image_and_outputs_of_the_interrupted_instance_and_its_command_ends(day, laboratory, images):
    events = [(event["event"], event.get("stage")) for event in day.said if event["event"] != "run-progress"]
    assert ("interrupted", "notice") in events
    assert events.index(("interrupted", "notice")) < events.index(("interrupted", "terminated"))
    assert day.logs[1].out.endswith(BEGIN.format(1) + END)
    waited = laboratory.run("wait", EXP="train")
    assert (waited.code, waited.out) == (0, "train: exited with status 0\n"), waited.err
    recorded = [record["annotation"] for record in laboratory.directory.records() if record.get("annotation")]
    assert {digest for note in recorded for digest in note.get("containers", ())} == {day.digest}
    runs = [note["run"]["experiment"]["container"] for note in recorded if "run" in note]
    assert runs == [f"{images.name}:1", f"{images.name}@{day.digest}"]
    torn_down = laboratory.run("teardown", EXP="train")
    assert torn_down.code == 0, torn_down.err
    assert laboratory.directory.status() == []
    pulled = laboratory.run("pull", EXP="train", OUTPUTS="1")
    assert pulled.code == 0, pulled.err
    files = (laboratory.directory.path / "outputs/train" / day.first.instance).iterdir()
    assert {file.name: file.read_text() for file in files} == {"step": "7\n", "model": "whole\n"}
    assert "planted" not in laboratory.directory.registry.read_text()
