"""A command in a container: docker and systemd of a Debian, and an image from a registry."""

import json
from threading import Event

import pytest

from ec2lab.config.models import Experiment
from ec2lab.runs.command import DELIVERED, command_files, container_files
from tests.hosts.host import Host
from tests.hosts.image_registry import ImageRegistry
from tests.hosts.systemd import systemd_on
from tests.waiting import wait_until

STATE, LOG = "/var/lib/ec2-lab/instance", "/var/lib/ec2-lab/instance/log"
SECRET = "planted two\nlines ' \" $HOME"
DAEMON = {"storage-driver": "vfs", "bridge": "none", "iptables": False, "ip6tables": False}
COMMAND = """
echo "$lr in $PWD as $(id -u):$(id -g) $(id -G) $USER $HOME $PATH $FROM_IMAGE $EXPERIMENT"
test "$LISTEN_TOKEN" = "$(cat /data/expected)" && echo secret
(: >/data/new) 2>/dev/null || echo read-only
touch /scratch/written /home/experiment/written
sh -c 'trap "sleep 0.3; echo saved; exit" TERM; echo ready; while :; do sleep 0.1; done'
echo never
"""


@pytest.fixture
def instance(debian_with_docker, tmp_path):
    """A host with systemd and docker, and a registry of images; a function puts an experiment on it."""
    (tmp_path / "host").mkdir()
    host, registry = Host(debian_with_docker, tmp_path / "host"), ImageRegistry()
    systemd = systemd_on(host)
    host.write("/etc/docker/daemon.json", json.dumps(DAEMON))
    host.run("useradd", "--create-home", "--groups", "docker,games", "experiment")
    host.run("mkdir", "-p", STATE, "/data", "/scratch")
    for mount in ("/data", "/scratch"):
        host.write(f"/etc/systemd/system/{mount[1:]}.mount", f"[Mount]\nWhat=tmpfs\nWhere={mount}\nType=tmpfs\n")

    def put(**written):
        settings = {
            "instance_types": ["g5.xlarge"], "container": f"{registry.name}:1",
            "parameters": {"lr": 0.7071}, "data": [{"dataset": "speech", "mount": "/data", "read_only": True}],
            "scratch": [{"mount": "/scratch", "size_gib": 1}], **written,
        }  # fmt: skip
        experiment = Experiment.model_validate(settings)
        for path, (mode, text) in {**container_files(experiment), **command_files("demo", experiment)}.items():
            host.write(path, text, mode=int(mode, 8))
        return systemd

    yield put, systemd, registry
    systemd.stop()
    host.stop()
    registry.stop()


def begin(systemd):
    """Start the command, and what comes before it; return how long the log of earlier ones is."""
    log = systemd.host.path(LOG)
    place = len(log.read_text()) if log.exists() else 0
    units = ["data.mount", "scratch.mount", "experiment-container.service", "experiment.service"]
    systemd.run("systemctl", "daemon-reload")
    systemd.run("systemctl", "stop", units[2])
    systemd.run("sh", "-c", f"rm -f {STATE}/ended.json; systemctl start --no-block {' '.join(units[:3])}")
    systemd.run("systemctl", "start", "--no-block", units[3])
    return place


def ended(systemd, place=0):
    """How the command ended, and its log from a place on."""
    file = systemd.host.path(f"{STATE}/ended.json")
    assert wait_until(file.exists), systemd.run("journalctl", "--no-pager", "-n", "60", check=False).stdout
    return json.loads(file.read_text()), systemd.host.path(LOG).read_text()[place:]


def containers(systemd):
    """The ids of all containers."""
    return systemd.run("docker", "ps", "--all", "--quiet").stdout.split()


def test_a_command_runs_in_the_image_that_was_pulled_with_all_that_it_has_without_one_and_leaves_nothing(instance):
    put, systemd, registry = instance
    digest = registry.push("1", FROM_IMAGE="one")
    put(command=COMMAND, secrets={"LISTEN_TOKEN": "env:HUB"})
    systemd.boot()
    systemd.run("mkdir", "-p", "/run/ec2-lab")
    (root := systemd.host).write("/root/values", json.dumps({"LISTEN_TOKEN": SECRET}))
    systemd.run("cp", "/root/values", DELIVERED)
    systemd.run("systemctl", "start", "data.mount", "scratch.mount")
    root.write("/root/expected", SECRET)
    systemd.run("sh", "-ec", "cp /root/expected /data; chown experiment /scratch; rm /root/values /root/expected")
    begin(systemd)
    log = systemd.host.path(LOG)
    assert wait_until(lambda: log.exists() and "ready\n" in log.read_text()), ended(systemd)
    groups = systemd.run("id", "-G", "experiment").stdout.strip()
    first = f"0.7071 in /home/experiment as 1000:1000 {groups} experiment /home/experiment /bin one demo\n"
    assert log.read_text() == f"{first}secret\nread-only\nready\n"
    (container,) = containers(systemd)
    assert "planted" not in systemd.run("docker", "inspect", container).stdout
    search = systemd.run("grep", "-rl", "planted", "/var/lib/docker", "/run/ec2-lab", "/root", check=False)
    assert search.stdout == "", "no file has a secret by now"
    arguments = systemd.run("sh", "-c", "cat /proc/[0-9]*/cmdline", check=False).stdout
    assert ("planted" in arguments, "0.7071" in arguments) == (False, False)

    systemd.run("systemctl", "stop", "experiment.service")
    told, text = ended(systemd)
    assert (told["exit_code"], told["container"]) == (143, digest), "what it started is told to end, and waited for"
    assert text.endswith("saved\nec2-lab: the command exited with status 143\n"), text
    assert containers(systemd) == []

    registry.push("1", FROM_IMAGE="two")
    put(command='echo "$FROM_IMAGE"; exit 3', container=f"{registry.name}@{digest}")
    told, text = ended(systemd, begin(systemd))
    assert (told["exit_code"], text) == (3, "one\nec2-lab: the command exited with status 3\n"), "its tag has moved"

    put(command="echo begun; until test -e /scratch/go-on; do sleep 0.1; done; echo over; exit 4")
    place = begin(systemd)
    assert wait_until(lambda: "begun\n" in log.read_text()[place:])
    systemd.run("systemctl", "restart", "docker")
    systemd.run("touch", "/scratch/go-on")
    told, text = ended(systemd, place)
    assert (told["exit_code"], text) == (4, "begun\nover\nec2-lab: the command exited with status 4\n"), (
        "an update is no end"
    )
    assert json.loads(root.path("/etc/docker/daemon.json").read_text()) == {**DAEMON, "live-restore": True}

    put(command="echo begun; sleep 1000")
    place = begin(systemd)
    assert wait_until(lambda: "begun\n" in log.read_text()[place:])
    systemd.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "experiment.service")
    assert ended(systemd)[0]["exit_code"] == 137
    assert containers(systemd) == [], "docker would let it go on"


def test_an_image_that_cannot_be_pulled_or_run_is_said_in_dockers_words_and_the_command_does_not_begin(instance):
    put, systemd, registry = instance
    put(command="echo begun", container=f"{registry.name}:none")
    systemd.boot()
    told, text = ended(systemd, begin(systemd))
    why = told["why"]
    assert why.startswith(
        f"the command never started: container {registry.name}:none: Error response from daemon: manif"
    )
    assert (told["exit_code"], text) == (1, f"ec2-lab: {why}\n")

    digest = registry.push("1", PATH="/nowhere")
    put(command="echo begun", container=f"{registry.name}@{digest}")
    told, text = ended(systemd, begin(systemd))
    why = "the command never started: container: sh exited with 127 before the command; the log says why"
    assert (told["exit_code"], told["why"]) == (1, why)
    assert "exec sh failed: No such file or directory" in text
    assert containers(systemd) == []

    gpu = "/sys/bus/pci/devices/gpu"
    systemd.run("sh", "-ec", f"mkdir -p {gpu}; echo 0x10de >{gpu}/vendor; echo 0x030200 >{gpu}/class")
    put(command="echo begun", container=f"{registry.name}@{digest}")
    why = ended(systemd, begin(systemd))[0]["why"]
    assert "has NVIDIA GPUs and its AMI lacks the NVIDIA Container Toolkit: install nvidia-container-toolkit" in why

    put(command="echo begun", scratch=[{"mount": "/absent", "size_gib": 1}], container=f"{registry.name}@{digest}")
    assert ended(systemd, begin(systemd))[0]["why"] == "the command never started: container: /absent is not mounted"


def test_after_a_power_cut_while_the_image_is_pulled_it_is_pulled_again_and_the_command_begins(instance):
    put, systemd, registry = instance
    digest = registry.push("1")
    put(command="echo begun")
    asked, powerless = Event(), Event()
    registry.before_layer = lambda: (asked.set(), powerless.wait(60))
    systemd.boot()
    begin(systemd)
    assert asked.wait(60)
    systemd.cut_power()
    powerless.set()
    systemd.boot()
    told, text = ended(systemd, begin(systemd))
    assert (told["exit_code"], told["container"]) == (0, digest)
    assert text == "begun\nec2-lab: the command exited with status 0\n"
