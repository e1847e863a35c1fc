"""The metadata service of an instance is asked through no proxy, and all else through the one that is set."""

import os
import subprocess

import pytest
import requests.utils
from botocore.utils import should_bypass_proxies

from ec2lab.config.models import Experiment
from ec2lab.runs.command import command_script
from tests.hosts.program import program

METADATA = ("http://169.254.169.254/latest/api/token", "http://[fd00:ec2::254]/latest/api/token")
ELSEWHERE = "https://lab-runs.s3.amazonaws.com/of"
PROXY = {"http_proxy": "http://proxy.example:3128", "https_proxy": "http://proxy.example:3128"}


def of_the_command(environment):
    """What an experiment's command has in its environment."""
    script = command_script(Experiment(instance_types=["g5.xlarge"], command="env -0"))
    ran = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    return dict(entry.split("=", 1) for entry in ran.stdout.split("\0") if entry)


def of_the_upload(environment, monkeypatch):
    """What the AWS CLI has that puts its log into a bucket."""
    with monkeypatch.context() as patched:
        set_to(environment, patched)
        return program("upload-log").environment()


def set_to(environment, patched):
    for name in [*os.environ]:
        patched.delenv(name)
    for name, value in environment.items():
        patched.setenv(name, value)


@pytest.mark.parametrize("given", [{}, {"no_proxy": "intranet"}, {"NO_PROXY": "intranet"}, {"no_proxy": "*"}])
def test_only_the_metadata_service_is_asked_past_the_proxy_and_what_was_before(given, monkeypatch):
    asked = {"PATH": os.environ["PATH"], **PROXY, **given}
    for environment in (of_the_command(asked), of_the_upload(asked, monkeypatch)):
        with monkeypatch.context() as patched:
            set_to(environment, patched)
            everything = given.get("no_proxy") == "*"
            for passes in (should_bypass_proxies, lambda url: requests.utils.should_bypass_proxies(url, None)):
                assert all(map(passes, METADATA))
                assert bool(passes("http://intranet/x")) == bool(given)
                assert bool(passes(ELSEWHERE)) == everything
        assert environment["http_proxy"] == PROXY["http_proxy"]
