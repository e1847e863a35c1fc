"""An experiment's container: what its file may name, what a plan shows, and which image is launched again."""

import json
import os
import pwd
import shlex
import subprocess
from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.config.container import at_digest, digest_in
from ec2lab.config.models import Experiment
from ec2lab.errors import UserError
from ec2lab.hosts.program_packer import program
from ec2lab.launch.reproduce import pinned_container
from ec2lab.launch.run_spec import RunSpec, with_pulled_image
from ec2lab.registry.history import ExperimentHistory
from ec2lab.runs.command import SCRIPT, command_files, command_script
from tests.waiting import in_quick_motion

IMAGE = "nvcr.io/nvidia/pytorch:26.01-py3"
ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com/speech/train:7"
DIGEST, OTHER = f"sha256:{'a1' * 32}", f"sha256:{'b2' * 32}"
FILE = f"""
instance_types = ["g5.xlarge"]
regions = ["us-east-1"]
command = "python3 train.py"
container = "{IMAGE}"
"""


@pytest.mark.parametrize(
    "image",
    ["python", "python:3.13-slim", "pytorch/pytorch:2.9.1-cuda13.0-cudnn9-runtime", IMAGE, "localhost:5000/a/b",
     f"ghcr.io/a-b/c__d@{DIGEST}", f"ghcr.io/a/b:1@{DIGEST}"],
)  # fmt: skip
def test_names_of_images_are_taken_with_tag_and_digest(image):
    assert Experiment(instance_types=["g5.xlarge"], command="true", container=image).container == image
    assert digest_in(image) == (DIGEST if DIGEST in image else "")
    assert at_digest(image, OTHER) == f"{image.partition('@')[0].removesuffix(':1').split(':2')[0]}@{OTHER}".replace(
        ":26.01-py3", ""
    ).replace("python:3.13-slim", "python")


@pytest.mark.parametrize(
    ("container", "said"),
    [
        ("--privileged", "container: '--privileged' is not the name of a container image (try \"nvcr.io/"),
        ("a b", "container: 'a b' is not the name of a container image"),
        ("python:$(id)", "container: 'python:$(id)' is not the name of a container image"),
        ("Python", "container: 'Python' is not the name of a container image"),
        ("python@sha256:1234", "container: 'python@sha256:1234' is not the name of a container image"),
        ("user:password@ghcr.io/a", "container: 'user:password@ghcr.io/a' is not the name of a container image"),
        (ECR, "container: is in Amazon ECR, and requires an instance_profile with which the instance can pull it"),
    ],
)
def test_what_is_no_image_or_cannot_be_pulled_is_refused(lab, container, said):
    lab.write("experiments/demo.toml", FILE.replace(IMAGE, container))
    assert said in lab.run("plan", EXP="demo").error


def test_a_container_without_a_command_is_refused(lab):
    lab.write("experiments/demo.toml", FILE.replace("command", "# command"))
    assert "container requires a command" in lab.run("plan", EXP="demo").error


@given(st.from_regex(r"[a-zA-Z0-9./:@_-]{1,40}", fullmatch=True))
def test_an_image_that_is_taken_is_one_word_that_is_no_option_and_keeps_its_name(image):
    try:
        taken = Experiment(instance_types=["g5.xlarge"], command="true", container=image).container
    except ValueError:
        return
    assert (shlex.split(taken), taken[0] == "-") == ([image], False)
    assert digest_in(at_digest(taken, DIGEST)) == DIGEST


def test_a_plan_shows_the_image_and_the_pull_starts_with_the_boot(lab, cloud):
    more = '[secrets]\nHF_TOKEN = "env:HUB"\n'
    lab.write("experiments/demo.toml", FILE + more)
    planned = lab.run("plan", EXP="demo", JSON="1")
    events = {event["event"]: event for event in planned.events}
    assert "planned-container" in events, planned.out + planned.err
    assert events["planned-container"]["image"] == IMAGE
    document = yaml.safe_load(events["planned-request"]["cloud_init"])
    files = {file["path"]: file["content"] for file in document["write_files"]}
    unit = files["/etc/systemd/system/experiment-container.service"]
    assert f'ExecStart=/opt/ec2-lab/pull-container "{IMAGE}"\n' in unit
    assert "/opt/ec2-lab/pull-container" in files
    assert "/opt/ec2-lab/run-container" not in files, "the rest is brought over ssh"
    enable = ["systemctl", "--no-reload", "enable", "--now", "--no-block", "experiment-container.service"]
    assert enable in document["runcmd"]
    lab.write("experiments/demo.toml", FILE)
    assert f"container: {IMAGE}, which the instance pulls as it boots\n" in lab.run("plan", EXP="demo").out


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_the_script_of_a_container_is_for_bash_and_for_sh(shell, tmp_path):
    experiment = Experiment(instance_types=["g5.xlarge"], command='echo "$lr $WORD"; exit 3', parameters={"lr": 0.1},
                            container=IMAGE)  # fmt: skip
    environment = tmp_path / "environment"
    environment.write_text("export WORD='two\nlines'\n")
    script = tmp_path / "script"
    script.write_text(command_script(experiment).replace("/run/ec2-lab/experiment/environment", str(environment)))
    done = subprocess.run([shell, script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "0.1 two\nlines\n", "")
    assert environment.read_text() == "", "without a program that the image may lack"


def test_the_unit_names_each_mount_and_no_value():
    experiment = Experiment.model_validate({
        "instance_types": ["g5.xlarge"], "command": "python3 train.py --token-free", "container": IMAGE,
        "parameters": {"lr": 0.7071}, "data": [{"dataset": "speech", "mount": "/data", "read_only": True}],
        "scratch": [{"mount": "/scratch", "size_gib": 1}],
        "outputs": "/outputs", "artifact_uri": "s3://lab-runs", "instance_profile": "writer",
    })  # fmt: skip
    files = command_files("demo", experiment)
    unit = files["/etc/systemd/system/experiment.service"][1]
    assert 'ExecStart=+/opt/ec2-lab/run-container run "/data:ro" "/scratch" "/outputs:directory"\n' in unit
    assert "KillMode=mixed\n" in unit
    assert "/opt/ec2-lab/run-container" in files
    assert "mountpoint" not in files[SCRIPT][1], "an image may lack it; run-container looks"
    assert "0.7071" not in unit
    on_volume = command_files("demo", experiment.model_copy(update={"outputs": "/scratch/outputs"}))
    assert 'run "/data:ro" "/scratch"\n' in on_volume["/etc/systemd/system/experiment.service"][1], (
        "it is there already"
    )


def test_a_directory_that_is_no_mount_is_in_the_container_too(tmp_path):
    values = {}
    exec(compile(program("run-container.py"), "run-container.py", "exec"), values)  # noqa: S102 - our own template
    options = list(values["mounts"](pwd.getpwuid(os.getuid()), [f"{tmp_path}:directory"]))
    assert f"--mount=type=bind,source={tmp_path},target={tmp_path}" in options
    with pytest.raises(values["NeverBegan"], match="is not mounted"):
        list(values["mounts"](pwd.getpwuid(os.getuid()), [str(tmp_path)]))


@pytest.fixture
def launched(lab, cloud):
    """A launched experiment with a bucket, and a function by which its instance tells there that the command ended."""
    lab.write("experiments/demo.toml", f'{FILE}artifact_uri = "s3://lab-runs"\ninstance_profile = "writer"\n')
    cloud.client("iam", "us-east-1").create_instance_profile(InstanceProfileName="writer")
    s3 = cloud.client("s3", "us-east-1")
    s3.create_bucket(Bucket="lab-runs")
    ended = lab.launch()
    assert ended.code == 0, ended.err
    (instance,) = [thing["id"] for thing in cloud.inventory() if thing["kind"] == "instance"]

    def end():
        told = {"exit_code": 0, "at": "2026-11-24T10:00:00Z", "container": DIGEST}
        s3.put_object(Bucket="lab-runs", Key=f"demo/{instance}/ended.json", Body=json.dumps(told).encode())
        cloud.client("ec2", "us-east-1").terminate_instances(InstanceIds=[instance])

    return lab, end


@pytest.mark.parametrize("script", ["wait", "watch"])
def test_a_rerun_has_the_image_that_was_pulled_also_when_its_tag_has_moved(launched, cloud, script):
    lab, end = launched
    missing = lab.run("rerun", EXP="demo", NEW_EXP="again")
    assert missing.error.startswith(
        f"error: demo: its container {IMAGE} has no digest on record, so it cannot be repeated exactly (`make wait` and"
    )
    end()
    with in_quick_motion(cloud):
        told = lab.run(script, EXP="demo")
    assert told.code == 0, told.err
    lab.write("experiments/demo.toml", FILE.replace("26.01", "26.02"))
    again = lab.run("rerun", EXP="demo", NEW_EXP="again")
    assert again.code == 0, again.err
    (run,) = [r["annotation"]["run"] for r in lab.records() if "run" in (r.get("annotation") or {})][1:]
    assert run["experiment"]["container"] == f"nvcr.io/nvidia/pytorch@{DIGEST}"


def test_an_image_with_a_digest_of_its_own_needs_none_on_record_and_two_are_not_one():
    written = {"container": f"python@{DIGEST}"}
    assert pinned_container(written, (), "demo", "again") == written
    with pytest.raises(UserError, match=f"was pulled as {DIGEST} and as {OTHER}"):
        pinned_container({"container": "python:3"}, [DIGEST, OTHER], "demo", "again")


def test_a_relaunch_has_the_image_that_the_run_pulled_until_its_file_names_another_one():
    def launched(written, containers=(), **named):
        run = {"from": "demo", "experiment": {"container": written}, **named}
        return ExperimentHistory(run=run, ran=(run, {}), containers=containers)

    def image(written, past, *, again=True):
        spec = with_pulled_image(RunSpec({"container": written}, "demo"), past, again=again)
        return spec.written["container"], spec.more

    pinned = f"nvcr.io/nvidia/pytorch@{DIGEST}"
    assert image(IMAGE, launched(IMAGE, [DIGEST])) == (pinned, {"container": IMAGE})
    relaunched = launched(pinned, container=IMAGE)
    assert image(IMAGE, relaunched) == (pinned, {"container": IMAGE}), "interrupted again before its image was seen"
    assert image(IMAGE, relaunched, again=False) == (pinned, {"container": IMAGE}), "its launch is resumed"
    for past in (launched(IMAGE), launched(IMAGE, [DIGEST, OTHER]), launched("python:3", [DIGEST])):
        assert image(IMAGE, past) == (IMAGE, {})
    assert image(IMAGE, launched(IMAGE, [DIGEST]), again=False) == (IMAGE, {}), "its run has that name on its instances"
    assert image("python:3", relaunched) == ("python:3", {})
    failed = replace(launched(IMAGE, [DIGEST]), run={"from": "demo", "experiment": {"container": "python:3"}})
    assert image("python:3", failed) == ("python:3", {}), "the digest is that of the launch before"
