"""The torchrun example of docs/nodes.md reduces over NCCL: on every GPU of one instance, and on two nodes."""

import os
import re
import subprocess

import pytest

from ec2lab.config.models import Experiment
from ec2lab.config.parameters import chosen
from ec2lab.runs.command import command_script
from tests.distributed_example import example, run_on_all, write_code
from tests.two_nodes import ADDRESSES

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(200)]


def sums(text):
    return sorted(re.findall(r"rank \d+ of .*", text))


def test_one_instance_reduces_over_nccl_on_all_of_its_gpus(tmp_path, torch_python, query):
    (count,) = map(int, query("count"))
    written = {**example("ddp"), "nodes": 1}
    experiment = Experiment.model_validate(chosen(written, {"processes": count}, "ddp"))
    write_code(tmp_path, "ddp")
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": f"{torch_python.parent}:{os.environ['PATH']}",
                   "NCCL_DEBUG": "VERSION"}  # fmt: skip
    done = subprocess.run(
        ["bash", "-c", command_script(experiment)], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=150,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert sums(done.stdout) == [f"rank {rank} of {count}: the sum is {count}" for rank in range(count)]
    assert "NCCL version" in done.stdout


def test_two_nodes_reduce_over_nccl_by_the_interface_that_the_lab_names(nodes, tmp_path, torch_python, monkeypatch):
    monkeypatch.setenv("NCCL_DEBUG", "INFO")
    told = run_on_all(nodes, tmp_path, "ddp", "torchrun", processes=1)
    assert sums("".join(told)) == [f"rank {rank} of 2: the sum is 2" for rank in range(2)]
    for address, text in zip(ADDRESSES, told, strict=True):
        assert re.search(rf"NCCL INFO .*Using .*ens5:{re.escape(address)}<", text), text
