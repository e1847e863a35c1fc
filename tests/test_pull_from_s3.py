"""What a throw-away instance runs to pull a bucket: everything arrives, and what does not is noticed."""

import os
import subprocess
import sys

import pytest

from ec2lab.hosts.program_packer import sent
from tests.aws_cli import is_installed
from tests.hosts.program import program

pytestmark = [
    pytest.mark.skipif(not is_installed(), reason="the AWS CLI is not installed: pip install awscli"),
    pytest.mark.usefixtures("aws_cli"),
]


@pytest.fixture
def bucket(cloud):
    """A bucket with a few objects under a prefix, and one beside it."""
    s3 = cloud.client("s3", "us-east-1")
    s3.create_bucket(Bucket="recordings")
    for number in range(5):
        s3.put_object(Bucket="recordings", Key=f"talks/{number}/a b{number}.wav", Body=b"x" * number)
    s3.put_object(Bucket="recordings", Key="talks/empty/", Body=b"")
    s3.put_object(Bucket="recordings", Key="talks-of-others/y.wav", Body=b"y")
    return s3


def pull(cloud, target, source="s3://recordings/talks"):
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
        **cloud.credentials(),
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
    }
    return subprocess.run(
        [sys.executable, "-c", sent("pull-from-s3.py"), source, str(target)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_everything_under_the_prefix_arrives_and_nothing_else(cloud, bucket, tmp_path):
    target = tmp_path / "build"
    (target / "lost+found").mkdir(parents=True)
    done = pull(cloud, target)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 objects, 10 bytes in s3://recordings/talks; 5 files, 0 wrong" in done.stdout
    assert (target / "3/a b3.wav").read_bytes() == b"xxx"
    assert not (target / "y.wav").exists()


def test_the_client_is_told_the_buckets_region_which_need_not_be_the_instances(tmp_path, monkeypatch):
    pulling = program("pull-from-s3")
    aws = tmp_path / "aws"
    aws.write_text('#!/bin/sh\ntest "$2 $4" = "head-bucket recordings" && echo eu-west-1\n')
    aws.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert pulling.region("s3://recordings/talks") == ["--region", "eu-west-1"]
    assert pulling.region("s3://nobodys/talks") == []


def test_run_again_it_fetches_only_what_is_missing(cloud, bucket, tmp_path):
    assert pull(cloud, tmp_path / "build").returncode == 0
    (tmp_path / "build/2/a b2.wav").unlink()
    before = len([c for c in cloud.calls(everyone=True) if c["service"] == "s3"])
    assert pull(cloud, tmp_path / "build").returncode == 0
    assert (tmp_path / "build/2/a b2.wav").read_bytes() == b"xx"
    assert len([c for c in cloud.calls(everyone=True) if c["service"] == "s3"]) - before <= 5


@pytest.mark.parametrize("source", ["s3://recordings/nothing", "s3://no-such-bucket/talks"])
def test_nothing_there_is_a_failure(cloud, bucket, tmp_path, source):
    assert pull(cloud, tmp_path / "build", source).returncode != 0


def test_an_object_below_another_is_named_in_a_line_and_leaves_no_traceback(cloud, bucket, tmp_path):
    bucket.put_object(Bucket="recordings", Key="talks/3", Body=b"y")
    done = pull(cloud, tmp_path / "build")
    assert done.returncode == 1
    assert "no file system holds both" in done.stdout
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize("name", ["follow-log", "pull-from-s3", "install-code", "set-ttl", "upload-log"])
def test_a_program_that_fails_says_so_in_one_line(tmp_path, name):
    """There is neither an instance nor a disk of its kind here."""
    done = subprocess.run(
        [sys.executable, "-c", sent(f"{name}.py"), "s3://no/where", str(tmp_path)],
        env={"PATH": str(tmp_path)}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"ec2-lab: {name}: ")


def test_a_file_too_many_is_a_failure(cloud, bucket, tmp_path):
    (tmp_path / "build").mkdir()
    (tmp_path / "build/mine.txt").write_text("mine")
    done = pull(cloud, tmp_path / "build")
    assert done.returncode == 1
    assert "6 files, 0 wrong" in done.stdout
