"""Outputs of a command: what may be asked for, and where the registry says they go."""

import pytest

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
        (("command =", "# command ="), "artifact_uri is of use to a command alone"),
        (("artifact_uri", "# artifact_uri"), 'outputs requires an artifact_uri ("s3://…"), where its files go'),
        (("instance_profile", "# instance_profile"), "artifact_uri requires an instance_profile"),
        (('outputs = "/outputs"', 'sync_every = "30s"'), "sync_every is of use to outputs alone"),
        (("/outputs", "outputs"), "is not an absolute path"),
        (("/outputs", "/usr/out"), "is the system's own"),
        (("/outputs", "/home/experiment/out"), "lies where others than root can write"),
        (("/outputs", "/data/out"), "outputs: /data/out lies on the dataset that is mounted on /data"),
        (("/outputs", "/"), "is not an absolute path"),
        (("/outputs", "/scr"), "outputs: /scr/a is mounted in /scr, and would be uploaded with it"),
        (('"/outputs"', '"/outputs"\nsync_every = "5s"'), 'sync_every = "5s": must be between 10s and 1d (try "60s")'),
        (('"/outputs"', '"/outputs"\nsync_every = "2d"'), "must be between 10s and 1d"),
    ],
)  # fmt: skip
def test_outputs_that_could_never_be_uploaded_are_refused_in_one_line(lab, cloud, change, said):
    volumes = '[[data]]\ndataset = "d"\nmount = "/data"\n[[scratch]]\nmount = "/scr/a"\nsize_gib = 1\n'
    lab.write("experiments/demo.toml", RUN.replace(*change) + volumes)
    assert said in lab.run("plan", EXP="demo").error


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
