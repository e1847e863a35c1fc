"""A machine whose set-up fails is reported as such, and kept or taken down as the experiment says."""

import pytest

pytestmark = pytest.mark.vm

PLUGIN = """
from scripts.core.launch_part import LaunchPart, Share
from scripts.core.plugins import hookimpl


class Failing(LaunchPart):
    name = "failing"
    order = 60

    def share(self, site):
        return Share(cloud_init={"runcmd": [["ls", "/nowhere"], ["touch", "/after"]]})


@hookimpl
def lab_launch_parts():
    return [Failing()]
"""


def test_a_failing_command_is_reported_with_its_words_and_the_machine_is_taken_down(laboratory):
    laboratory.directory.write("plugins/failing.py", PLUGIN)
    laboratory.directory.write(
        "experiments/failing.toml",
        'types = ["g5.xlarge"]\non_failed_boot = "teardown"\n[[data]]\ndataset = "speech"\nmount = "/data"\n',
    )
    machine, ended = laboratory.launch("failing")
    assert ended.code == 1
    assert "cloud-init failed" in ended.error
    assert "FAILED: ls /nowhere" in ended.error, "what failed is named from the console"
    assert "NOT MOUNTED: /data: its volume" in ended.error, "its disk was never attached"
    assert "taken down, as experiments/failing.toml says" in ended.error
    assert laboratory.directory.status() == []
    assert "FAILED: touch" not in machine.console, "what came after it ran"
