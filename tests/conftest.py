"""Fixtures named after what they give."""

import gc
import os
import shutil
import signal
from contextlib import contextmanager

import pytest
from hypothesis import settings

from ec2lab.aws.local_server import ensure_running, stop
from local_cloud.clock import CLOCK_FILE
from tests.aws_cli import serving
from tests.cloud_time import live_by
from tests.distribution import InOneProcess, longest_first
from tests.full import FULL, examples
from tests.lab_directory import REPOSITORY, LabDirectory
from tests.local_cloud_client import LocalCloud
from tests.two_nodes import two_nodes

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes begin here, and would each compile it all
settings.register_profile("lab", deadline=None, max_examples=examples(50))  # instances that run tests are noisy
settings.load_profile("lab")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it, and so would its children
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and so does one that nohup began


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config, items):
    """Leave out what is too long for every run, and share out the rest."""
    if not FULL:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("full")])
        items[:] = [item for item in items if not item.get_closest_marker("full")]
    result = yield
    longest_first(items)
    gc.freeze()  # thousands of tests stay until the end: no collection need look at them
    return result


def pytest_xdist_make_scheduler(config, log):
    """LaunchFragment out the tests as `sharing_out.py` says, unless another way was asked for."""
    return InOneProcess(config, log) if config.getoption("dist") == "loadgroup" else None


def pytest_xdist_auto_num_workers():
    """Two more than there are processors: almost half of their time, tests wait for what they have started."""
    return 2 + (os.cpu_count() or 1)


@contextmanager
def running_cloud(directory):
    """A local cloud in a directory, until the end."""
    ensure_running(directory)
    yield directory
    stop(directory)


def empty_cloud(directory):
    """A directory's local cloud, as it begins."""
    local = LocalCloud(ensure_running(directory))
    local.reset()
    return local


@pytest.fixture(scope="session")
def cloud_directory(tmp_path_factory):
    """The directory of a local cloud that serves this test process."""
    with running_cloud(tmp_path_factory.mktemp("local-cloud")) as directory:
        yield directory


@pytest.fixture
def cloud(cloud_directory):
    """A local cloud as it begins, in calm scenario."""
    return empty_cloud(cloud_directory)


@pytest.fixture(scope="session")
def second_cloud_directory(tmp_path_factory):
    """The directory of another local cloud: another account."""
    with running_cloud(tmp_path_factory.mktemp("second-cloud")) as directory:
        yield directory


@pytest.fixture
def second_cloud(second_cloud_directory):
    """Another account, as it begins."""
    return empty_cloud(second_cloud_directory)


@pytest.fixture
def in_cloud_time(cloud, cloud_directory, monkeypatch):
    """Let what a test calls of the scripts in its own process go by the cloud's clock, which its waiting advances."""
    live_by(cloud_directory / CLOCK_FILE, waits=False, put=monkeypatch.setattr)


@pytest.fixture(scope="session")
def aws_cli_directory(tmp_path_factory):
    """The directory of an AWS CLI that is quick to start."""
    with serving(tmp_path_factory.mktemp("aws-cli")) as directory:
        yield directory


@pytest.fixture
def aws_cli(aws_cli_directory, monkeypatch):
    """Let `aws` be one that is quick to start."""
    monkeypatch.setenv("PATH", str(aws_cli_directory), prepend=os.pathsep)


@pytest.fixture
def lab(tmp_path, cloud, cloud_directory):
    """A lab with the demo's files, on the test's local cloud."""
    directory = tmp_path / "lab"
    directory.mkdir()
    (directory / ".local-cloud").symlink_to(cloud_directory)
    made = LabDirectory(directory, waits=False)
    for name in ("lab.toml", "experiments/demo.toml"):
        made.write(name, (REPOSITORY / name).read_text())
    return made


@pytest.fixture
def nodes(tmp_path):
    """Two nodes, whose own names lead to 127.0.1.1."""
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("only root can make networks, with ip: run the tests as root; apt-get install iproute2")
    made = two_nodes(tmp_path)
    yield made
    for node in made:
        node.stop()
