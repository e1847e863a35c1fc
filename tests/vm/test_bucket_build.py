"""A dataset is built from a bucket by a throw-away instance: pulled, compared, snapshotted, gone."""

import pytest

from tests.vm.conftest import disk
from tests.vm.tools import plugin

pytestmark = pytest.mark.vm


def test_a_bucket_becomes_a_version(laboratory, tools, tmp_path):
    s3 = laboratory.cloud.client("s3", "us-east-1")
    s3.create_bucket(Bucket="recordings")
    for number in range(20):
        s3.put_object(Bucket="recordings", Key=f"talks/{number % 3}/{number}.wav", Body=b"x" * 1000 * number)
    laboratory.directory.write("plugins/tools.py", plugin(laboratory.cloud))
    building = laboratory.directory.start(
        "dataset_build", DATASET="talks", SOURCE="s3://recordings/talks", SIZE="4G", **laboratory.variables
    )
    instance = laboratory.boot("build-talks", lambda volumes: [tools, disk(tmp_path, volumes["/dev/sdf"], mib=256)])
    out, err = building.communicate(timeout=900)
    assert building.returncode == 0, out + err + instance.console[-3000:]
    (listed,) = [e for e in laboratory.run("datasets", DATASET="talks", JSON="1").events if e["version"] == "1"]
    assert listed["state"] == "completed"
    assert laboratory.directory.status() == []
    assert laboratory.cloud.client("ec2", "us-east-1").describe_volumes()["Volumes"] == []
