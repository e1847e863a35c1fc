"""The examples of docs/nodes.md, as their machines would run them: with real torchrun and real Ray, as two nodes."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from scripts.core.lab.config import Experiment
from scripts.core.lab.parameters import chosen
from scripts.core.runs.command_script import command_script
from scripts.core.runs.rendezvous import RAY_PORT, TORCH_PORT, environments_of
from tests.lab_directory import REPOSITORY

PAPER = (REPOSITORY / "docs/nodes.md").read_text()
INHERITED = ("HOME", "TMPDIR")
WITH_PORT = ("MASTER_PORT", "PET_RDZV_ENDPOINT", "RAY_ADDRESS")
MACHINES = [
    {
        "InstanceId": f"i-{number}",
        "AmiLaunchIndex": number,
        "LaunchTime": "",
        "PrivateIpAddress": f"127.0.0.{number + 1}",
    }
    for number in range(2)
]
"""Two nodes on one machine, by two addresses of loopback."""


PATIENCE = 150
MARK = "NODE_OF_THE_TEST"
"""The variable by which a node's processes are known."""


def needs(tool):
    return pytest.mark.skipif(not shutil.which(tool), reason=f"{tool} is not installed: pip install torch ray")


def example(name):
    """An experiment of the paper, by its file's name."""
    (text,) = re.findall(rf"```toml\n(# experiments/{name}\.toml\n.*?)```", PAPER, re.DOTALL)
    return tomllib.loads(text)


def write_code(directory, name):
    """Write a program of the paper where its experiment's command is run."""
    (path, text) = re.findall(rf"```python\n# \.\./{name}/(\S+)\n(.*?)```", PAPER, re.DOTALL)[0]
    (directory / "code").mkdir(parents=True)
    (directory / "code" / path).write_text(text)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def run_on_all(tmp_path, name, tool, **parameters):
    """Run an example's script on both nodes at once; return what each printed, all having ended well."""
    experiment = Experiment.model_validate(chosen(example(name), parameters, name))
    ports = {str(TORCH_PORT): free_port(), str(RAY_PORT): free_port()}
    inherited = {key: os.environ[key] for key in INHERITED if key in os.environ}
    tools = Path(shutil.which(tool)).parent
    processes, marks = [], []
    for number, environment in enumerate(environments_of(name, MACHINES).values()):
        directory = tmp_path / str(number)
        marks.append(str(directory))
        write_code(directory, name)
        told = {key: replaced(value, ports) if key in WITH_PORT else value for key, value in environment.items()}
        own = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "EXPERIMENT": name,
            "GLOO_SOCKET_IFNAME": "lo",
            "OMP_NUM_THREADS": "1",
            MARK: marks[-1],
        }
        processes.append(
            subprocess.Popen(
                ["bash", "-c", command_script(experiment)], cwd=directory, text=True,
                env={**inherited, **own, **told},
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )
        )  # fmt: skip
    with ThreadPoolExecutor(len(processes)) as waiting:
        told = list(waiting.map(ended, processes, marks))
    assert [process.returncode for process in processes] == [0, 0], "\n---\n".join(told)
    return told


def ended(process, mark):
    """Wait for a node's command, and end what it left running, as systemd does; return what it printed."""
    try:
        return process.communicate(timeout=PATIENCE)[0]
    except subprocess.TimeoutExpired as late:
        process.kill()
        return f"{late.output}\nnot ended after {PATIENCE} s"
    finally:
        wanted = f"{MARK}={mark}".encode()
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if wanted in path.read_bytes().split(b"\0"):
                    os.kill(int(path.parent.name), signal.SIGKILL)


def replaced(value, ports):
    """Return an address with the port of this test, so that several can run at once."""
    for fixed, free in ports.items():
        value = re.sub(rf"\b{fixed}$", free, value)
    return value


@needs("torchrun")
@pytest.mark.timeout(200)
def test_torchrun_forms_one_group_of_all_processes_of_all_nodes(tmp_path):
    told = run_on_all(tmp_path, "ddp", "torchrun", processes=2)
    assert sorted(re.findall(r"rank . of 4: the sum is 4", "".join(told))) == [
        f"rank {rank} of 4: the sum is 4" for rank in range(4)
    ]
    assert all(text.count("the sum is") == 2 for text in told), "two on each node"


@needs("ray")
@pytest.mark.timeout(200)
def test_ray_forms_one_cluster_that_works_on_all_nodes_and_ends_with_its_program(tmp_path):
    head, _ = run_on_all(tmp_path, "many", "ray")
    assert len({line for line in head.splitlines() if line.startswith("worked on")}) == 2, head
