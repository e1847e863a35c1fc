"""A container has all GPUs, which the PCI bus shows whatever drivers there are."""

import shutil
import subprocess

import pytest

from tests.hosts.program import program

pytestmark = pytest.mark.gpu
IMAGE = "public.ecr.aws/docker/library/ubuntu:24.04"
container = program("run-container")


def test_without_nvidias_toolkit_the_command_does_not_begin_and_what_is_missing_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(container.NeverBegan, match="lacks the NVIDIA Container Toolkit"):
        list(container.accelerators())


def test_a_container_has_all_gpus(nvidia_smi):
    for tool in ("docker", container.TOOLKIT):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    pulled = subprocess.run(["docker", "pull", "--quiet", IMAGE], capture_output=True, text=True, check=False)
    if pulled.returncode:
        pytest.skip(f"{IMAGE} can't be pulled: {pulled.stderr.strip()}")
    words = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    run = ["docker", "run", "--rm", *container.accelerators(), IMAGE]
    assert subprocess.check_output([*run, *words]) == subprocess.check_output(words)
