"""What an instance tells of its command: the log in parts, each line once, and the exit code, whatever comes
between.
"""

import json
import os
import subprocess
import sys

import pytest

from ec2lab.hosts.program_packer import sent
from tests.aws_cli import is_installed

pytestmark = [
    pytest.mark.skipif(not is_installed(), reason="the AWS CLI is not installed: pip install awscli"),
    pytest.mark.usefixtures("aws_cli"),
]

INSTANCE = "i-0123456789abcdef0"


def part(place):
    """What a part of the log is called."""
    return f"log/{place:020}"


class Reporting:
    """An instance's directory, and its report."""

    def __init__(self, cloud, directory):
        self.cloud, self.directory, self.log = cloud, directory, directory / "state/log"
        self.off = directory / "powered-off"
        (directory / "bin").mkdir()
        (directory / "run/experiment").mkdir(parents=True)
        (directory / "run/experiment/begun").touch()
        self.command("systemctl", f'#!/bin/sh\necho "$@" > {self.off}\n')
        (directory / INSTANCE).mkdir()
        (directory / "state").symlink_to(INSTANCE)
        places = {
            "/opt/ec2-lab": str(directory), "/var/lib/ec2-lab/instance": str(directory / "state"),
            "/run/ec2-lab": str(directory / "run"), "(2,5,10,20,40,40,0)": "(0,0,0)",
        }  # fmt: skip
        self.writes_ending, self.tells = sent("write-exit-status.py"), sent("upload-log.py")
        for place, own in places.items():
            assert place in self.tells + self.writes_ending
            self.writes_ending, self.tells = (p.replace(place, own) for p in (self.writes_ending, self.tells))
        self.settle("s3://lab-runs/speech")

    def command(self, name, text):
        path = self.directory / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def settle(self, bucket, on_completion="keep"):
        (self.directory / "run.json").write_text(
            json.dumps({"experiment": "foo", "artifact_uri": bucket, "on_completion": on_completion})
        )

    def ends(self, **environment):
        """The command has ended: what systemd runs then."""
        written = self.run(program=self.writes_ending, **environment)
        assert written.returncode == 0, written.stderr
        return self.run("ended")

    def run(self, *words, program="", **environment):
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        aws = {**self.cloud.credentials(), "AWS_DEFAULT_REGION": "us-east-1"}
        path = f"{self.directory / 'bin'}:{os.environ['PATH']}"
        return subprocess.run(
            [sys.executable, "-c", program or self.tells, *words], capture_output=True, text=True, check=False,
            env={**inherited, **aws, "PATH": path, **environment},
        )  # fmt: skip

    @property
    def told(self):
        """What the bucket holds."""
        s3 = self.cloud.client("s3", "us-east-1")
        place = f"speech/foo/{INSTANCE}/"
        found = s3.list_objects_v2(Bucket="lab-runs", Prefix=place).get("Contents", [])
        return {
            entry["Key"].removeprefix(place): s3.get_object(Bucket="lab-runs", Key=entry["Key"])["Body"].read().decode()
            for entry in found
        }

    @property
    def ended(self):
        return json.loads((self.directory / "state/ended.json").read_text())


@pytest.fixture
def reporting(cloud, tmp_path):
    cloud.client("s3", "us-east-1").create_bucket(Bucket="lab-runs")
    return Reporting(cloud, tmp_path)


def test_each_part_has_what_came_since_the_one_before(reporting):
    reporting.log.write_text("one\ntwo\n")
    assert reporting.run().returncode == 0
    assert reporting.run().returncode == 0, "nothing came, nothing is told"
    reporting.log.write_text("one\ntwo\nthree\n")
    done = reporting.ends(EXIT_CODE="exited", EXIT_STATUS="3")
    assert done.returncode == 0, done.stderr
    ended = reporting.told.pop("ended.json")
    assert json.loads(ended)["exit_code"] == 3
    assert {name: text for name, text in reporting.told.items() if "log" in name} == {
        part(0): "one\ntwo\n", part(8): "three\n",
    }  # fmt: skip


def test_what_could_not_be_put_is_put_the_next_time(reporting):
    reporting.log.write_text("one\n")
    s3 = reporting.cloud.client("s3", "us-east-1")
    s3.delete_bucket(Bucket="lab-runs")
    assert reporting.run().returncode != 0
    s3.create_bucket(Bucket="lab-runs")
    reporting.log.write_text("one\ntwo\n")
    assert reporting.run().returncode == 0
    assert reporting.told == {part(0): "one\ntwo\n"}


def test_a_large_log_is_cut_between_its_lines(reporting):
    assert "32<<20" in reporting.tells
    reporting.tells = reporting.tells.replace("32<<20", "10")
    reporting.log.write_text("12345\n123\nabcdefghijklmnop\nend\n")
    assert reporting.run().returncode == 0
    assert list(reporting.told.values()) == ["12345\n123\n", "abcdefghij", "klmnop\n", "end\n"]


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ({"EXIT_CODE": "exited", "EXIT_STATUS": "0"}, 0),
        ({"EXIT_CODE": "exited", "EXIT_STATUS": "77"}, 77),
        ({"EXIT_CODE": "killed", "EXIT_STATUS": "KILL"}, 137),
        ({"EXIT_CODE": "dumped", "EXIT_STATUS": "SEGV"}, 139),
        ({"SERVICE_RESULT": "resources"}, 1),
    ],
)
def test_the_exit_code_is_as_a_shell_has_it(reporting, environment, code):
    assert reporting.ends(**environment).returncode == 0
    assert reporting.ended["exit_code"] == code
    assert json.loads(reporting.told["ended.json"]) == reporting.ended


def test_an_instance_takes_itself_away_only_when_all_is_told(reporting):
    reporting.settle("s3://lab-runs/speech", on_completion="teardown")
    reporting.log.write_text("precious\n")
    s3 = reporting.cloud.client("s3", "us-east-1")
    s3.delete_bucket(Bucket="lab-runs")
    assert reporting.ends(EXIT_CODE="exited", EXIT_STATUS="0").returncode != 0
    assert not reporting.off.exists(), "the log would go with it"
    assert reporting.ended["exit_code"] == 0
    s3.create_bucket(Bucket="lab-runs")
    assert reporting.ends(EXIT_CODE="exited", EXIT_STATUS="0").returncode == 0
    assert reporting.off.read_text() == "start --no-block ec2-lab-power-off@completion.service\n"
    assert reporting.told[part(0)] == "precious\n"
