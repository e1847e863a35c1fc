"""Every command of docs/onboarding.md, in its order, on a virtual machine: the runbook can't rot."""

import os
import re
import subprocess

import pytest

from tests.lab_directory import REPOSITORY
from tests.vm.conftest import SEEDED, disk

pytestmark = pytest.mark.vm

BROUGHT = (
    "Makefile", "docs", "scripts", "ec2lab", "local_cloud", "templates", ".venv", "requirements.lock",
    "requirements-dev.lock",
)  # fmt: skip
RUNBOOK = (REPOSITORY / "docs/onboarding.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", RUNBOOK, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
    if line.strip()
]
SEEN = {
    "make user-add NAME=bob KEY=bob.pub": ["wrote members/bob.toml"],
    "make users HOST=demo DRY_RUN=1": ["bob: created", "would change"],
    "make users HOST=demo": ["nothing to change"],
    "make plan EXP=demo": ["g5.xlarge"],
    "make status": ["demo", "running", "speech@1 on /data"],
    "make ssh EXP=demo": ["alice", "/data"],
    "make datasets": ["speech", "us-east-1"],
    "make user-remove NAME=bob HOST=demo": ["removed members/bob.toml", "bob: locked"],
    "make teardown EXP=demo": ["AWS shows nothing left"],
}
"""What the runbook's reader is to see, at the last run of each command."""


@pytest.fixture(scope="module")
def instance(laboratory, tmp_path_factory):
    """A lab where alice is a member and the demo runs, and bob has only sent his key."""
    lab = laboratory.directory
    (lab.path / "members/bob.toml").unlink()
    (lab.path / "bob.pub").write_text((laboratory.keys / "bob.pub").read_text())
    lab.write(
        "experiments/demo.toml", 'instance_types = ["g5.xlarge"]\n[[data]]\ndataset = "speech"\nmount = "/data"\n'
    )
    directory = tmp_path_factory.mktemp("disks")
    instance, ended = laboratory.launch("demo", lambda v: [disk(directory, v["/dev/sdf"], kind="ext4", U=SEEDED)])
    assert ended.code == 0, ended.err
    return instance


def make(laboratory, command):
    """Run a command of the runbook as its reader does, in a lab that has the Makefile."""
    lab = laboratory.directory
    for name in BROUGHT:
        if not (lab.path / name).exists():
            (lab.path / name).symlink_to(REPOSITORY / name)
    typed = "id -un; findmnt -no TARGET /data\n" if " ssh " in command else ""
    environment = {**lab.environment(**laboratory.variables), "PATH": os.environ["PATH"]}
    return subprocess.run(
        ["sh", "-c", command], cwd=lab.path, env=environment, input=typed, capture_output=True, text=True,
        check=False, timeout=600,
    )  # fmt: skip


def test_every_command_of_the_runbook_does_what_it_says(instance, laboratory):
    shown = {}
    for command in COMMANDS:
        done = make(laboratory, command)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        shown[command] = done.stdout
    assert shown.keys() == SEEN.keys()
    for command, texts in SEEN.items():
        for text in texts:
            assert text in shown[command], f"{command}\n{shown[command]}"
    assert laboratory.directory.status() == []
