"""An experiment's command on a real machine: its code arrives, its log is followed, its exit code outlives it."""

import subprocess

import pytest

from tests.vm.tools import plugin

pytestmark = pytest.mark.vm

EXPERIMENT = """
types = ["g5.xlarge"]
command = "python3 train.py"
code = { path = "../code" }
parameters = { lr = 0.1 }
bucket = "s3://lab-runs/of"
instance_profile = "writer"
then = "teardown"
"""
TRAIN = """
import getpass, os, pathlib, sys, time
print("lr", os.environ["lr"], "as", getpass.getuser(), "in", pathlib.Path.cwd(), flush=True)
while not pathlib.Path("/tmp/go-on").exists():
    time.sleep(0.2)
print("the last word")
sys.exit(3)
"""
LOG = """lr 0.1 as experiment in /home/experiment/code
the last word
ec2-lab: the command ended with 3
"""


@pytest.fixture(scope="module")
def launched(laboratory, tools):
    """A machine that runs the experiment, and how its launch ended."""
    code = laboratory.directory.path.parent / "code"
    code.mkdir()
    (code / "train.py").write_text(TRAIN)
    who = ["-c", "user.name=alice", "-c", "user.email=alice@example.org"]
    for words in (["init", "--quiet"], ["add", "."], [*who, "commit", "--quiet", "--message", "one"]):
        subprocess.run(["git", "-C", code, *words], check=True)
    laboratory.directory.write("experiments/train.toml", EXPERIMENT)
    laboratory.directory.write("plugins/tools.py", plugin(laboratory.cloud))
    laboratory.cloud.client("s3", "us-east-1").create_bucket(Bucket="lab-runs")
    laboratory.cloud.client("iam", "us-east-1").create_instance_profile(InstanceProfileName="writer")
    return laboratory.launch("train", lambda _: [tools])


def test_the_command_runs_in_its_code_is_followed_and_ends_its_machine_when_all_is_told(launched, laboratory):
    machine, ended = launched
    assert ended.code == 0, ended.out + ended.err + machine.console[-3000:]
    assert "bringing the code (commit " in ended.out
    following = laboratory.directory.start("logs", EXP="train", **laboratory.variables)
    first = following.stdout.readline()
    waiting = laboratory.directory.start("wait", EXP="train", **laboratory.variables)
    looked = laboratory.ssh("train", "stat -c '%a %U' /opt/ec2-lab/experiment; cat /opt/ec2-lab/experiment")
    assert looked.stdout == "600 experiment\n", "and a member can't read it"
    laboratory.ssh("train", "sudo touch /tmp/go-on")
    out, err = following.communicate(timeout=300)
    assert following.returncode == 0, err
    assert first + out == LOG
    told, err = waiting.communicate(timeout=300)
    assert (waiting.returncode, told) == (3, "train: ended with 3\n"), err
    machine.wait_until_off()
    s3 = laboratory.cloud.client("s3", "us-east-1")
    place = f"of/train/{machine.instance}"
    found = [entry["Key"] for entry in s3.list_objects_v2(Bucket="lab-runs", Prefix=f"{place}/")["Contents"]]
    assert f"{place}/ended.json" in found
    log = b"".join(s3.get_object(Bucket="lab-runs", Key=key)["Body"].read() for key in found if "/log/" in key)
    assert log.decode() == LOG
    log = laboratory.run("logs", EXP="train")
    assert log.code == 0, log.err
    assert log.out == LOG
    assert laboratory.run("wait", EXP="train").code == 3
    assert laboratory.run("teardown", EXP="train").code == 0
    assert laboratory.run("wait", EXP="train").code == 3
