"""The pull of a container's image on the instance: retries, the login to ECR, and what is missing on the AMI."""

import shutil
import subprocess
import sys

import pytest

from tests.changed_constants import sent_with

IMAGE = "ghcr.io/lab/speech:7"
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/speech:7"
PASSWORD = "password-of-ecr"
DOCKER = """#!/bin/sh
cd "$(dirname "$0")/.."
echo "$*" >>arguments
case "$*" in
*inspect*) test -e there || exit 1; cat there ;;
*login*) cat >password ;;
*pull*) test -s failures || { cp image there; exit; }
    sed -n 1p failures >&2; sed -i 1d failures; exit 1 ;;
esac
"""
FOUND = '[{{"Id": "sha256:1d", "RepoDigests": ["ghcr.io/other@sha256:b", "{repository}@sha256:a"]}}]'


@pytest.fixture
def pull(tmp_path):
    """Pulls an image with a docker that fails as the file `failures` says, line by line; returns its exit status."""
    tools, state = tmp_path / "bin", tmp_path / "state"
    tools.mkdir()
    for name in ("cat", "cp", "dirname", "sed", "sh"):
        (tools / name).symlink_to(shutil.which(name))
    (tools / "docker").write_text(DOCKER)
    (tools / "aws").write_text(f'#!/bin/sh\necho "$*" >>"{tmp_path}/arguments"\necho {PASSWORD}\n')
    for tool in ("docker", "aws"):
        (tools / tool).chmod(0o755)
    program = sent_with("pull-container.py", PAUSES=(0.01, 0.01, 0))
    for place in ("/var/lib/ec2-lab/instance", "/run/ec2-lab"):
        assert place in program
        program = program.replace(place, str(state))

    def run(image=IMAGE):
        (tmp_path / "image").write_text(FOUND.format(repository=image.rpartition(":")[0]))
        words = [sys.executable, "-I", "-c", program, image]
        return subprocess.run(words, env={"PATH": str(tools)}, check=False, capture_output=True).returncode

    return run, tmp_path


def test_a_failure_of_the_network_is_retried_and_the_digest_is_that_of_its_repository(pull):
    run, home = pull
    (home / "failures").write_text("Get https://ghcr.io/v2/: dial tcp: lookup ghcr.io: no such host\n" * 2)
    assert run() == 0
    pulls = [line for line in (home / "arguments").read_text().splitlines() if "pull" in line]
    assert [line.rpartition("--quiet ")[2] for line in pulls] == [IMAGE] * 3
    assert ((home / "state/container-id").read_text(), (home / "state/container").read_text()) == (
        "sha256:1d", "sha256:a",
    )  # fmt: skip
    assert run() == 0
    assert (home / "arguments").read_text().count("pull") == 3, "after a reboot it is there"


def test_what_does_not_pass_is_said_at_once_in_dockers_words_and_what_may_pass_when_time_is_up(pull):
    run, home = pull
    (home / "failures").write_text("Error response from daemon: pull access denied for lab/speech\n" + "timeout\n" * 9)
    why = home / "state/never-began"
    assert run() == 1
    assert why.read_text() == (
        f"the command never started: container {IMAGE}: Error response from daemon: pull access denied for lab/speech"
    )
    assert (home / "arguments").read_text().count("pull") == 1
    assert run() == 1
    assert why.read_text() == f"the command never started: container {IMAGE}: timeout"
    assert (home / "arguments").read_text().count("pull") == 1 + 3


def test_ecr_gets_a_password_of_the_instance_profile_on_standard_input_that_is_not_kept(pull):
    run, home = pull
    assert run(ECR) == 0
    arguments = (home / "arguments").read_text()
    assert "ecr get-login-password --region eu-west-1\n" in arguments
    assert f"login --username AWS --password-stdin {ECR.partition('/')[0]}\n" in arguments
    assert (home / "password").read_text() == f"{PASSWORD}\n"
    assert PASSWORD not in arguments
    assert not (home / "state/docker").exists()


@pytest.mark.parametrize(
    ("missing", "install"), [("docker", "apt-get install docker.io"), ("aws", "pip install awscli")]
)
def test_what_the_ami_lacks_is_named_with_the_command_that_installs_it(pull, missing, install):
    run, home = pull
    (home / "bin" / missing).unlink()
    (home / "bin/apt-get").symlink_to("/bin/true")
    assert run(ECR) == 1
    assert install in (home / "state/never-began").read_text()
