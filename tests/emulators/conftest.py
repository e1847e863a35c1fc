"""The emulators, started once for each test process, and labs that use them."""

import pytest

from ec2lab.aws.local_server import LOCAL_DIRECTORY
from local_cloud.clock import CLOCK_FILE
from tests.emulators.emulator import MINISTACK, ROTO, running
from tests.emulators.lab import EmulatedLab

LAB = """
cloud = "aws"
regions = ["us-east-1", "us-west-2"]
region_timeout = "60s"
root_volume = { device = "/dev/xvda", size_gib = 20 }
image = { us-east-1 = "ami-0abcdef1234567890", us-west-2 = "ami-0abcdef1234567890" }

[network]
ssh_allowed_cidrs = ["203.0.113.0/24"]

[ssh]
boot_timeout = "0s"
"""


@pytest.fixture(scope="session", params=[MINISTACK], ids=lambda emulator: emulator.name)
def server(request, tmp_path_factory):
    """One emulator of EC2 after the other."""
    with running(request.param, tmp_path_factory.mktemp(request.param.name)) as served:
        yield served


@pytest.fixture
def emulator(server):
    """An emulator of EC2 as it begins."""
    server.post("/_ministack/reset")
    return server


@pytest.fixture(scope="session")
def roto(tmp_path_factory):
    """An emulator of DynamoDB."""
    with running(ROTO, tmp_path_factory.mktemp("roto")) as served:
        yield served


@pytest.fixture
def lab(tmp_path, emulator):
    """A lab on an emulator, whose experiments are written by the tests."""
    made = EmulatedLab(tmp_path / "lab", waits=False)
    made.write("lab.toml", LAB)
    made.write("experiments/demo.toml", 'instance_types = ["p4d.24xlarge", "g5.12xlarge"]\n')
    made.write(f"{LOCAL_DIRECTORY}/{CLOCK_FILE}", "")
    made.serve(emulator)
    return made
