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
RAY = """#!/bin/sh
echo "$*" >> {asked}
case "$1 $2 $(grep -c "^$1" {asked})" in "start --address 1" | "health-check --address 3") exit 1;; esac
"""
"""Ray as its example meets it: there is no head at first, and then one until it is asked for the third time."""
READ_BY_RAY = """
import sys
from click import Context
from ray.scripts.scripts import cli
for line in sys.stdin:
    name, command, words = cli.resolve_command(Context(cli), line.split())
    command.make_context(name, words)
"""


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
@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.full)])
def test_torchrun_forms_one_group_of_all_processes_of_all_nodes(tmp_path, processes):
    told = run_on_all(tmp_path, "ddp", "torchrun", processes=processes)
    world = 2 * processes
    assert sorted(re.findall(r"rank . of .*", "".join(told))) == [
        f"rank {rank} of {world}: the sum is {world}" for rank in range(world)
    ]
    assert all(text.count("the sum is") == processes for text in told), "as many on each node"


@needs("ray")
def test_with_ray_a_node_joins_when_there_is_a_head_and_ends_with_it_by_options_that_ray_has(tmp_path):
    (head,), node = asked_of_ray(tmp_path)
    assert head == f"start --head --node-ip-address 127.0.0.1 --port {RAY_PORT} --disable-usage-stats"
    join = f"start --address 127.0.0.1:{RAY_PORT} --node-ip-address 127.0.0.2"
    assert node == [join, join] + 3 * [f"health-check --address 127.0.0.1:{RAY_PORT}"]
    own = Path(shutil.which("ray")).with_name("python3")
    words = "\n".join([head, *node])
    read = subprocess.run([own, "-c", READ_BY_RAY], input=words, text=True, capture_output=True, check=False)
    assert read.returncode == 0, read.stderr


def asked_of_ray(directory):
    """Run the script of the example with Ray on both nodes; return by node what it asks Ray to do."""
    experiment = Experiment.model_validate(chosen(example("many"), {}, "many"))
    (directory / "code").mkdir()
    asked, found = directory / "asked", []
    for name, text in {"ray": RAY.format(asked=asked), "python3": "#!/bin/sh\n", "sleep": "#!/bin/sh\n"}.items():
        (directory / name).write_text(text)
        (directory / name).chmod(0o755)
    for told in environments_of("many", MACHINES).values():
        asked.write_text("")
        environment = {"PATH": f"{directory}:{os.environ['PATH']}", "EXPERIMENT": "many", **told}
        subprocess.run(["bash", "-c", command_script(experiment)], cwd=directory, env=environment, check=True)
        found.append(asked.read_text().splitlines())
    return found


@needs("ray")
@pytest.mark.full
@pytest.mark.timeout(200)
def test_ray_forms_one_cluster_that_works_on_all_nodes_and_ends_with_its_program(tmp_path):
    head, _ = run_on_all(tmp_path, "many", "ray")
    assert len({line for line in head.splitlines() if line.startswith("worked on")}) == 2, head
