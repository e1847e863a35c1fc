"""Fixtures named after what they give."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.full import FULL
from tests.hosts.debian_root import CLOUD, DOCKER, HOST, RELEASE, RELEASES, CanNotBuild, debian_root
from tests.hosts.host import Host
from tests.hosts.instance import Running, appear, be_the_instance, let_in

TOOLS = {"mkfs.xfs": "xfsprogs", "mmdebstrap": "mmdebstrap", "ssh": "openssh-client", "unshare": "util-linux"}
"""Commands that the tests run, and the packages that have them."""

ROOTS = {"debian", "debian_with_systemd", "debian_with_docker", "cloud_init"}
"""Fixtures that give a Debian root."""
LAB = 'regions = ["us-east-1"]\n'
EXPERIMENT = """
instance_types = ["g5.xlarge"]
markets = ["spot"]
command = "python3 train.py"
"""


class KeyPair(NamedTuple):
    """An ssh key: its private file, its public line."""

    file: Path
    line: str

    @property
    def fingerprint(self):
        """The key as ssh-keygen names it."""
        listed = subprocess.run(["ssh-keygen", "-lf", self.file], capture_output=True, text=True, check=True)
        return listed.stdout.split()[1]


def pytest_itemcollected(item):
    """Mark what needs a Debian root: `make test-hosts` runs it. `make test` runs what is here beside it."""
    if ROOTS & set(item.fixturenames):
        item.add_marker("host")


def pytest_generate_tests(metafunc):
    """Run a test on every release if it asks for that, or with FULL=1; else on the first."""
    if "debian" in metafunc.fixturenames and (FULL or metafunc.definition.get_closest_marker("every_release")):
        metafunc.parametrize("debian", RELEASES, indirect=True, scope="session")


def small_root(release, *more):
    """Return a small Debian root; the test is skipped where there can be none."""
    if os.geteuid():
        pytest.skip("only root can make a host of namespaces: run the tests as root")
    if absent := [package for tool, package in TOOLS.items() if not shutil.which(tool)]:
        pytest.skip(f"hosts are tested where their tools are: apt-get install {' '.join(absent)}")
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this root can make no namespaces: run the tests outside of a container, or in one with SYS_ADMIN")
    return debian_root([*HOST, *more], release=release)


@pytest.fixture(scope="session")
def debian(request):
    """A small Debian root."""
    return small_root(getattr(request, "param", RELEASE))


@pytest.fixture(scope="session")
def debian_with_systemd():
    """The one to which what a host has brings systemd, 257."""
    return small_root("trixie")


@pytest.fixture(scope="session")
def debian_with_docker():
    """That one with docker."""
    try:
        return small_root("trixie", *DOCKER)
    except CanNotBuild as why:
        pytest.skip(f"there is no docker for hosts here: {why}")


@pytest.fixture(scope="session")
def cloud_init():
    """A Debian root that has cloud-init, what judges user data, and needrestart, as Ubuntu's servers have it."""
    try:
        return debian_root(CLOUD)
    except CanNotBuild as why:
        pytest.skip(f"what cloud-init does can't be seen here: {why}")


@pytest.fixture
def host(debian, tmp_path):
    """A fresh instance on which nothing runs yet."""
    directory = tmp_path / "host"
    directory.mkdir()
    made = Host(debian, directory)
    yield made
    made.stop()


@pytest.fixture
def host_with_sshd(host):
    """A fresh instance with sshd, as its image configures it."""
    host.start_sshd()
    return host


@pytest.fixture(scope="session")
def key_pairs(tmp_path_factory):
    """Makes key pairs, one for each name."""
    directory = tmp_path_factory.mktemp("keys")

    def make(name):
        file = directory / name
        if not file.exists():
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name}@laptop", "-f", file]
            subprocess.run(command, check=True)
        return KeyPair(file, file.with_suffix(".pub").read_text().strip())

    return make


@pytest.fixture(scope="session")
def alice_key(key_pairs):
    """Alice's key."""
    return key_pairs("alice")


@pytest.fixture(scope="session")
def bob_key(key_pairs):
    """Bob's key."""
    return key_pairs("bob")


@pytest.fixture
def running(request, lab, cloud, host_with_sshd, alice_key):
    """An experiment whose command runs on a real host, where alice logs in; a parameter is more lines of its file."""
    lab.write("lab.toml", LAB)
    lab.write("experiments/demo.toml", EXPERIMENT + getattr(request, "param", ""))
    cloud.client("iam", "us-east-1").create_instance_profile(InstanceProfileName="writer")
    assert lab.launch().code == 0
    variables, instance, region = be_the_instance(cloud, lab, host_with_sshd, "alice", alice_key)
    lab.write("lab.toml", LAB + '[ssh]\nboot_timeout = "60s"\n')  # an instance that boots
    host_with_sshd.write("/run/ec2-lab/output", "")
    return Running(lab, host_with_sshd, variables, instance, region)


@pytest.fixture
def instances(request, lab, cloud, host_with_sshd, alice_key):
    """Some instances of an experiment, all on one real host, to which alice logs in with tcsh; her variables."""
    lab.write("lab.toml", LAB)
    lab.write("experiments/demo.toml", EXPERIMENT.replace("spot", "on-demand"))  # can be stopped
    assert lab.launch(COUNT=str(request.param)).code == 0
    variables = let_in(lab, host_with_sshd, "alice", alice_key, shell="/bin/tcsh")  # noqa: S604
    for instance in lab.status():
        appear(cloud, lab, host_with_sshd, instance["id"], instance["region"])
    host_with_sshd.as_user("alice", "echo 'echo welcome; echo sourced >&2; read -r line' > /home/alice/.bash_profile")
    lab.write("lab.toml", LAB + '[ssh]\nboot_timeout = "60s"\ntimeout = "3s"\n')
    return lab, host_with_sshd, {"EXP": "demo", **variables}
