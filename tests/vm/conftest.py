"""Fixtures named after what they give."""

from __future__ import annotations

import base64
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest

from ec2lab.aws.local_server import ensure_running, stop
from ec2lab.datasets.ebs_direct import BLOCK
from tests.hosts.debian_root import CanNotBuild
from tests.lab_directory import Ended, LabDirectory
from tests.local_cloud_client import LocalCloud
from tests.vm.acceleration import choose
from tests.vm.image import instance_image
from tests.vm.instance import Disk, Instance, data_disk
from tests.vm.interrupted_boot import InterruptedBoot, interrupted_boot
from tests.vm.qemu import FULL
from tests.vm.tools import tools_disk

LAB = 'regions = ["us-east-1"]\n[ssh]\nboot_timeout = "20m"\nhost_key_timeout = "20m"\ntimeout = "5m"\n'
PATIENCE = 60
CONSOLE_CHARACTERS = 64 << 10
"""What EC2 keeps of a console, in bytes."""
PEOPLE = ("alice", "bob", "carol")
SEEDED = "6f1c0a3e-5d0b-4c58-9a53-1f6f3d0f5b11"
"""The UUID of the file system of the demo's own dataset, version 1."""


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A directory of all processes of this run."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session", autouse=True)
def image(shared):
    """The virtual machine's image, and an accelerator for it in the environment; their making is not a test's time."""
    try:
        made = instance_image()
    except CanNotBuild as why:
        pytest.fail(f"instances can't be made here: {why}", pytrace=False)
    os.environ["VM_ACCEL"] = choose(made, shared / "accelerator")
    return made


@pytest.fixture(scope="session")
def tools(image):
    """A disk with the AWS CLI on it."""
    return tools_disk()


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A directory with the private keys of alice, bob and carol."""
    directory = tmp_path_factory.mktemp("keys")
    for name in PEOPLE:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name}@laptop", "-f", directory / name]
        subprocess.run(command, check=True)
    return directory


@pytest.fixture(scope="session")
def interrupted(image, shared):
    """The boot that first boots resume; a module that boots for real has None in its place."""
    if FULL:
        yield None
        return
    with interrupted_boot(image, shared / "interrupted-boot") as made:
        yield made


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory, keys, interrupted):
    """A lab with its own local cloud, and alice, bob and carol for members."""
    directory = tmp_path_factory.mktemp("lab")
    cloud = LocalCloud(ensure_running(directory / ".local-cloud"))
    lab = Laboratory(LabDirectory(directory), cloud, keys, tmp_path_factory.mktemp("home"), interrupted)
    lab.cloud.reset()
    lab.directory.write("lab.toml", LAB)
    alice, bob, carol = ((keys / f"{name}.pub").read_text().strip() for name in PEOPLE)
    lab.directory.write("members/alice.toml", f'keys = ["{alice}"]\nshell = "/bin/zsh"\nuid = 4001\n')
    lab.directory.write("members/bob.toml", f'keys = ["{bob}"]\ngroups = []\n')
    lab.directory.write("members/carol.toml", f'keys = ["{carol}"]\n')
    yield lab
    for instance in lab.instances:
        instance.close()
    stop(directory / ".local-cloud")


@dataclass
class Laboratory:
    """A lab whose instances run."""

    directory: LabDirectory
    cloud: LocalCloud
    keys: Path
    home: Path
    interrupted: InterruptedBoot | None

    def __post_init__(self) -> None:
        self.instances: list[Instance] = []
        (self.home / ".ssh").mkdir()

    @property
    def variables(self) -> dict[str, str]:
        """What make would hand over for alice."""
        return {"HOME": str(self.home), "MEMBER": "alice"}

    def run(self, script: str, **variables: str) -> Ended:
        """Run a script as alice."""
        process = self.directory.start(script, **self.variables, **variables)
        out, err = process.communicate(timeout=900)
        return Ended(process.returncode, out, err)

    def prepare_run(self, program: str, text: str) -> None:
        """Commit a program to ../code, and make the bucket and the instance profile of runs."""
        (code := self.directory.path.parent / "code").mkdir()
        (code / program).write_text(text)
        who = ["-c", "user.name=alice", "-c", "user.email=alice@example.org"]
        for words in (["init", "--quiet"], ["add", "."], [*who, "commit", "--quiet", "--message", "one"]):
            subprocess.run(["git", "-C", code, *words], check=True)
        self.cloud.client("s3", "us-east-1").create_bucket(Bucket="lab-runs")
        self.cloud.client("iam", "us-east-1").create_instance_profile(InstanceProfileName="writer")

    def launch(
        self, experiment: str, disks=lambda _: [], used: Instance | None = None, **variables: str
    ) -> tuple[Instance, Ended]:
        """Launch an experiment, boot an instance with the user data that the launch sent, and wait for the launch.

        `disks` is told the ids of the instance's volumes by device name, and returns its data disks. The image is that
        of an instance that was `used` and is off, where one is named.
        """
        launching = self.directory.start("launch", EXP=experiment, **self.variables, **variables)
        instance = self.boot(experiment, disks, used)
        out, err = launching.communicate(timeout=1500)
        return instance, Ended(launching.returncode, out, err)

    def boot(self, experiment: str, disks, used: Instance | None = None) -> Instance:
        """Boot what is being launched for an experiment, with the user data that was sent."""
        instance = self._instance(self._described(experiment), disks, used)
        Thread(target=self._hand_over_console, args=(instance,), daemon=True).start()
        return instance

    def _hand_over_console(self, instance: Instance) -> None:
        """Let the local cloud have what an instance prints on its console, as it prints it."""
        shown = None
        while not instance.closed.is_set():
            if instance.console != shown:
                shown = instance.console
                self.cloud.host(instance.instance, instance.region, instance.address, shown[-CONSOLE_CHARACTERS:])
            instance.closed.wait(0.5)

    def read_back(self, dataset: str, version: str, path: Path) -> None:
        """Write what a volume made from a version of a dataset would hold."""
        wanted = [{"Name": "tag:lab:dataset", "Values": [dataset]}, {"Name": "tag:lab:version", "Values": [version]}]
        (snapshot,) = self.cloud.client("ec2", "us-east-1").describe_snapshots(Filters=wanted)["Snapshots"]
        ebs = self.cloud.client("ebs", "us-east-1")
        with path.open("wb") as file:
            file.truncate(snapshot["VolumeSize"] << 30)
            for listed in ebs.list_snapshot_blocks(SnapshotId=snapshot["SnapshotId"])["Blocks"]:
                place = {"BlockIndex": listed["BlockIndex"], "BlockToken": listed["BlockToken"]}
                file.seek(listed["BlockIndex"] * BLOCK)
                file.write(ebs.get_snapshot_block(SnapshotId=snapshot["SnapshotId"], **place)["BlockData"].read())

    def _described(self, experiment: str) -> dict:
        ec2 = self.cloud.client("ec2", "us-east-1")
        wanted = [
            {"Name": "tag:lab:experiment", "Values": [experiment]},
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for reservation in ec2.describe_instances(Filters=wanted)["Reservations"]:
                return reservation["Instances"][0]
            time.sleep(0.2)
        raise AssertionError(f"{experiment} was not launched")

    def _instance(self, described: dict, disks, used: Instance | None) -> Instance:
        identity = described["InstanceId"]
        ec2 = self.cloud.client("ec2", "us-east-1")
        sent = ec2.describe_instance_attribute(InstanceId=identity, Attribute="userData")["UserData"]["Value"]
        volumes = {m["DeviceName"]: m["Ebs"]["VolumeId"] for m in described["BlockDeviceMappings"]}
        instance = Instance(
            self.home / identity, base64.b64decode(sent), disks(volumes), identity,
            address=described["PublicIpAddress"], interrupted=self.interrupted,
            used=used.root if used else None, secret=self.cloud.secret,
        )  # fmt: skip
        self.instances.append(instance)
        (self.home / ".ssh/config").write_text(
            f"Match host {instance.address}\n  Port {instance.port}\n  IdentityFile {self.keys}/alice\n"
        )
        return instance.first_boot()

    @contextmanager
    def logged_in(self, experiment: str) -> Iterator[None]:
        """Stay logged in to an instance, without a terminal."""
        words = ["-F", self.directory.path / ".ssh/config", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]
        command = ["ssh", *words, "-i", self.keys / "alice", "-l", "alice", experiment, "sleep infinity"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as login:
            yield
            login.terminate()

    def ssh(
        self, experiment: str, command: str, *, user: str = "alice", login: str = "", shared: bool = False
    ) -> subprocess.CompletedProcess:
        """Run a command on an instance with a member's key, by the project's ssh configuration.

        It logs in for it, unless the login may be `shared`: then once for all such commands, as a login takes seconds.
        """
        words = ["-F", self.directory.path / ".ssh/config", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]
        words += ["-i", self.keys / user, "-l", login or user]
        if shared:
            words += ["-o", "ControlPath=/tmp/ec2-lab-%C"]
            _log_in_once([*words, experiment])
        return subprocess.run(
            ["ssh", *words, experiment, command], capture_output=True, text=True, check=False, timeout=300
        )


def _log_in_once(words: list[object]) -> None:
    """Let a process stay logged in, for others to use. It keeps what it is started with open, so that is nothing."""
    if subprocess.run(["ssh", "-O", "check", *words], capture_output=True, check=False).returncode:
        nothing = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(["ssh", "-M", "-N", "-f", *words], check=False, timeout=120, **nothing)


def disk(directory: Path, volume: str, **options) -> Disk:
    """Make the disk of a volume."""
    return Disk(volume, data_disk(directory / f"{volume}.img", **options))
