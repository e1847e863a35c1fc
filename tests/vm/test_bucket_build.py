"""A data set is built from a bucket by a throw-away machine: pulled, compared, snapshotted, gone."""

import subprocess

import pytest

from tests.vm.conftest import disk

pytestmark = pytest.mark.vm

PLUGIN = """
from scripts.core.launch_part import LaunchPart, Share
from scripts.core.plugins import hookimpl

SETTINGS = "[Service]\\nEnvironment=AWS_ENDPOINT_URL=http://169.254.169.253:{port} AWS_ACCESS_KEY_ID=testing "
SETTINGS += "AWS_SECRET_ACCESS_KEY=testing AWS_DEFAULT_REGION=us-east-1 "
SETTINGS += "PYTHONPATH=/opt/tools PATH=/opt/tools/bin:/usr/bin:/bin\\n"
TOOLS = "vol-0bbbbbbbbbbbbbbbb"
NAMED = f's/if self.model == EBS:/if self.volume not in ("", "{{TOOLS}}"): return "sdf"\\\\n        if False:/'


class Tools(LaunchPart):
    name = "tools"
    order = 19

    def share(self, site):
        path = "/etc/systemd/system/experiment.service.d/tools.conf"
        return Share(cloud_init={{
            "write_files": [{{"path": path, "permissions": "0644", "content": SETTINGS}}],
            "runcmd": [
                ["sed", "-i", NAMED, "/opt/ec2-lab/mount-volumes"],
                ["mkdir", "-p", "/opt/tools"],
                ["mount", "-o", "ro", "-L", "tools", "/opt/tools"],
            ],
        }})


@hookimpl
def lab_launch_parts():
    return [Tools()]
"""
"""What an image would bring, the AWS CLI; where S3 is; and the name that EBS tells of a disk and qemu can't."""


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    """A disk with the AWS CLI on it."""
    directory = tmp_path_factory.mktemp("tools")
    packages = ["--quiet", "--target", directory / "tools", "awscli==1.45.11"]
    subprocess.run(["python3", "-m", "pip", "install", *packages], check=True, capture_output=True)
    command = directory / "tools/bin/aws"
    command.write_text("#!/usr/bin/python3\nimport awscli.clidriver, sys\nsys.exit(awscli.clidriver.main())\n")
    command.chmod(0o755)
    return disk(directory, "vol-0bbbbbbbbbbbbbbbb", mib=600, kind="ext4", L="tools", files=directory / "tools")


def test_a_bucket_becomes_a_version(laboratory, tools, tmp_path):
    s3 = laboratory.cloud.client("s3", "us-east-1")
    s3.create_bucket(Bucket="recordings")
    for number in range(20):
        s3.put_object(Bucket="recordings", Key=f"talks/{number % 3}/{number}.wav", Body=b"x" * 1000 * number)
    port = laboratory.cloud.url.rpartition(":")[2]
    laboratory.directory.write("plugins/tools.py", PLUGIN.format(port=port))
    building = laboratory.directory.start(
        "dataset_build", DATASET="talks", FROM="s3://recordings/talks", SIZE="4G", **laboratory.variables
    )
    machine = laboratory.boot("build-talks", lambda volumes: [tools, disk(tmp_path, volumes["/dev/sdf"], mib=256)])
    out, err = building.communicate(timeout=900)
    assert building.returncode == 0, out + err + machine.console[-3000:]
    (listed,) = [e for e in laboratory.run("datasets", DATASET="talks", JSON="1").events if e["version"] == "1"]
    assert listed["state"] == "completed"
    assert laboratory.directory.status() == []
    assert laboratory.cloud.client("ec2", "us-east-1").describe_volumes()["Volumes"] == []
