"""Outputs of a command: what may be asked for, and where the registry says they go."""

import json
import tomllib

import pytest

from ec2lab.config.models import Experiment
from ec2lab.config.toml_files import checked
from ec2lab.errors import UserError
from tests.waiting import wait_until

RUN = """
instance_types = ["g5.xlarge"]
command = "python3 train.py"
artifact_uri = "s3://lab-runs/of/"
instance_profile = "writer"
outputs = "/outputs"
"""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("command =", "# command ="), "artifact_uri requires a command"),
        (("artifact_uri", "# artifact_uri"), 'outputs requires an artifact_uri ("s3://…"), where its files go'),
        (("instance_profile", "# instance_profile"), "artifact_uri requires an instance_profile"),
        (('outputs = "/outputs"', 'sync_every = "30s"'), "sync_every is of use to outputs alone"),
        (("/outputs", "outputs"), "is not an absolute path"),
        (("/outputs", "/usr/out"), "is a system directory"),
        (("/outputs", "/home/experiment/out"), "is where users other than root can write"),
        (("/outputs", "/data/out"), "outputs: /data/out is on the dataset mounted on /data"),
        (("/outputs", "/"), "is not an absolute path"),
        (("/outputs", "/scr"), "outputs: /scr/a is mounted in /scr, and would be uploaded with it"),
        (('"/outputs"', '"/outputs"\nsync_every = "5s"'), 'sync_every = "5s": must be between 10s and 1d (try "60s")'),
        (('"/outputs"', '"/outputs"\nsync_every = "2d"'), "must be between 10s and 1d"),
    ],
)  # fmt: skip
def test_outputs_that_could_never_be_uploaded_are_refused_in_one_line(change, said):
    volumes = '[[data]]\ndataset = "d"\nmount = "/data"\n[[scratch]]\nmount = "/scr/a"\nsize_gib = 1\n'
    with pytest.raises(UserError) as refused:
        checked(tomllib.loads(RUN.replace(*change) + volumes), Experiment, shown_as="experiments/demo.toml")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def provenance(lab):
    return [note["provenance"] for record in lab.records() if "launched" in (note := record.get("annotation", {}))]


def test_the_registry_says_of_each_instance_where_its_outputs_go(lab, cloud):
    cloud.client("iam", "us-east-1").create_instance_profile(InstanceProfileName="writer")
    mount = '[[scratch]]\nmount = "/scratch"\nsize_gib = 1\n'
    lab.write("experiments/demo.toml", f"{RUN.replace('/outputs', '/scratch/outputs')}{mount}")
    ended = lab.launch(COUNT="2")
    assert ended.code == 0, ended.err
    ((one, other),) = provenance(lab)
    for each in (one, other):
        assert each["outputs"] == {"uri": f"s3://lab-runs/of/demo/{each['instance']}/outputs/"}
    assert one["instance"] != other["instance"]


class Run:
    """An experiment with outputs, and what its instances would have written into the bucket."""

    def __init__(self, lab, cloud):
        self.lab, self.s3 = lab, cloud.client("s3", "us-east-1")
        self.s3.create_bucket(Bucket="lab-runs")
        cloud.client("iam", "us-east-1").create_instance_profile(InstanceProfileName="writer")
        lab.write("experiments/demo.toml", RUN + 'markets = ["spot"]\non_interruption = "relaunch"\n')

    def put(self, path, content):
        self.s3.put_object(Bucket="lab-runs", Key=f"of/demo/{path}", Body=content)

    def ends(self, instance, **known):
        self.put(f"{instance}/ended.json", json.dumps({"exit_code": 0, "at": "2026-11-27T10:00:00Z", **known}))

    def launch(self, **variables):
        """Launch; return the new instance, and what was said of its outputs."""
        ended = self.lab.run("launch", EXP="demo", **variables)
        assert ended.code == 0, ended.err
        said = [line.strip() for line in ended.out.splitlines() if "resuming from" in line or "start empty" in line]
        return provenance(self.lab)[-1][0]["instance"], said

    @property
    def uri(self):
        return provenance(self.lab)[-1][0]["outputs"]["uri"]


@pytest.fixture
def ran(lab, cloud):
    return Run(lab, cloud)


def test_a_launch_continues_what_was_interrupted_under_the_name_of_the_first_and_nothing_else(ran, lab, cloud):
    first, said = ran.launch()
    assert said == []
    ran.put(f"{first}/outputs/ckpt/1", b"x" * 2048)
    ran.put(f"{first}/outputs/ckpt/2", b"")
    cloud.end(first, "us-east-1", "Server.SpotInstanceTermination")
    second, said = ran.launch()
    assert said == [f"resuming from {first} (2 files, 2 KiB); FRESH=1 starts fresh"]
    assert ran.uri == f"s3://lab-runs/of/demo/{first}/outputs/"
    ran.ends(second, exit_code=143, interrupted="terminate at 2026-11-27T10:00:00Z")
    cloud.end(second, "us-east-1", "Server.SpotInstanceTermination")
    assert lab.run("wait", EXP="demo").code == 143
    denied = {"action": "GetObject", "code": "AccessDenied", "message": "you may not read", "status": 403}
    cloud.scenario(faults=[denied])
    refused = lab.run("launch", EXP="demo").error
    assert refused.startswith("error: demo: whether to resume is unknown: ")
    assert refused.endswith("FRESH=1 starts without the last outputs")
    cloud.scenario()
    third, said = ran.launch()
    assert said[0].startswith(f"resuming from {first} ("), "which the second continued"
    cloud.end(third, "us-east-1", "Server.SpotInstanceTermination")
    fourth, said = ran.launch(FRESH="1")
    assert said == ["outputs start empty: FRESH=1"]
    assert ran.uri == f"s3://lab-runs/of/demo/{fourth}/outputs/"
    ran.ends(fourth)
    cloud.end(fourth, "us-east-1", "Client.InstanceInitiatedShutdown")
    _, said = ran.launch()
    assert said == ["outputs start empty: the command had ended, or wrote elsewhere"]
    lab.teardown()
    assert ran.launch()[1] == ["outputs start empty: the run before was torn down"]


def test_a_watch_relaunches_an_interrupted_instance_with_its_outputs(ran, lab, cloud):
    first, _ = ran.launch()
    watching = lab.start("watch", EXP="demo")
    assert [watching.stdout.readline() for _ in range(2)][1].startswith(f"demo: {first} runs")
    ran.ends(first, exit_code=143)  # of SIGTERM: the instance did not see AWS's notice
    cloud.end(first, "us-east-1", "Server.SpotInstanceTermination")
    wait_until(lambda: len(provenance(lab)) == 2)
    assert ran.uri == f"s3://lab-runs/of/demo/{first}/outputs/"
    second = provenance(lab)[-1][0]["instance"]
    ran.ends(second)
    cloud.end(second, "us-east-1", "Client.InstanceInitiatedShutdown")
    out, _ = watching.communicate(timeout=60)
    assert f"resuming from {first} (0 files, 0 B)" in out
    exited = [note["exited"] for record in lab.records() if "exited" in (note := record.get("annotation", {}))]
    assert exited[-1] == {"exit_code": 0}, "not that of the interrupted one"


def test_a_launch_that_resumes_has_the_image_that_the_run_pulled(ran, lab, cloud):
    image, digest = "nvcr.io/nvidia/pytorch:26.01-py3", f"sha256:{'a' * 64}"
    lab.write("experiments/demo.toml", f'{RUN}container = "{image}"\n')
    first, _ = ran.launch()
    ran.ends(first, exit_code=143, interrupted="terminate at 2026-11-27T10:00:00Z", container=digest)
    assert lab.run("wait", EXP="demo").code == 143
    cloud.end(first, "us-east-1", "Server.SpotInstanceTermination")
    _, said = ran.launch()
    assert said[0].startswith(f"resuming from {first}")
    launches = [note["run"] for record in lab.records() if "run" in (note := record.get("annotation", {}))]
    assert launches[-1]["experiment"]["container"] == f"nvcr.io/nvidia/pytorch@{digest}"
    assert (launches[-1]["container"], launches[-1]["resumes"]) == (image, [first])


def test_a_launch_that_was_killed_goes_on_with_what_it_had_resumed(ran, lab, cloud):
    first, _ = ran.launch()
    cloud.end(first, "us-east-1", "Server.SpotInstanceTermination")
    cloud.scenario(pending=600)
    killed = lab.start("launch", EXP="demo")
    wait_until(lambda: len([m for m in cloud.inventory() if m["kind"] == "instance" and m["state"] == "pending"]))
    killed.kill()
    killed.communicate()
    cloud.scenario()
    cloud.hurry()
    _, said = ran.launch(FRESH="1")
    assert said == [f"resuming from {first} (0 files, 0 B); FRESH=1 starts fresh"], "some may have begun with it"
    assert ran.uri == f"s3://lab-runs/of/demo/{first}/outputs/"


def test_the_role_that_is_set_up_may_read_back_where_outputs_are_and_only_there(lab, cloud):
    lab.write("lab.toml", 'regions = ["us-east-1"]\n[logs]\nartifact_uri = "s3://lab-runs/of"\n')
    lab.write("experiments/demo.toml", RUN)
    assert lab.run("setup_aws", YES="1").code == 0
    iam = cloud.client("iam", "us-east-1")
    (policy,) = iam.list_role_policies(RoleName="ec2-lab-lab-log-writer")["PolicyNames"]
    found = iam.get_role_policy(RoleName="ec2-lab-lab-log-writer", PolicyName=policy)["PolicyDocument"]
    below, bucket = "arn:aws:s3:::lab-runs/of/*", "arn:aws:s3:::lab-runs"
    condition = {"StringLike": {"s3:prefix": "of/*"}}
    assert found["Statement"] == [
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": below},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": below},
        {"Effect": "Allow", "Action": "s3:AbortMultipartUpload", "Resource": below},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket, "Condition": condition},
    ]
