"""The examples of docs/nodes.md, run on nodes as their instances run them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from ec2lab.config.models import Experiment
from ec2lab.config.parameters import chosen
from ec2lab.hosts.program_packer import program as program_text
from ec2lab.runs.distributed_env import node_environments
from ec2lab.runs.upload import Delivery
from tests.lab_directory import REPOSITORY
from tests.two_nodes import ADDRESSES

PAPER = (REPOSITORY / "docs/nodes.md").read_text()
INHERITED = ("TMPDIR", "LD_LIBRARY_PATH", "NCCL_DEBUG")
INSTANCES = [
    {"InstanceId": f"i-{number}", "AmiLaunchIndex": number, "LaunchTime": "", "PrivateIpAddress": address}
    for number, address in enumerate(ADDRESSES)
]
SYSTEMCTL = "#!/bin/sh\necho inactive\n"
"""A systemd that has not begun the command."""
PATIENCE = 150
MARK = "NODE_OF_THE_TEST"
"""The variable by which a node's processes are known."""


def example(name):
    """An experiment of the paper, by its file's name."""
    (text,) = re.findall(rf"```toml\n(# experiments/{name}\.toml\n.*?)```", PAPER, re.DOTALL)
    return tomllib.loads(text)


def write_code(directory, name, before=""):
    """Write a program of the paper, and what comes before it, where its experiment's command is run."""
    (path, text) = re.findall(rf"```python\n# \.\./{name}/(\S+)\n(.*?)```", PAPER, re.DOTALL)[0]
    (directory / "code").mkdir(parents=True)
    (directory / "code" / path).write_text(before + text)


def brought(node, directory, name, experiment, instances=INSTANCES):
    """Bring a node what it waits for; return how that ended, and the environment of its command."""
    delivery = Delivery(name, experiment, None, instances)
    (directory / "bin").mkdir(parents=True)
    (directory / "bin/systemctl").write_text(SYSTEMCTL)
    (directory / "bin/systemctl").chmod(0o755)
    program = program_text("install-code.py").replace("3, 10, 22", "2, 1, 22")
    given = delivery.header(node_environments(name, instances)[f"i-{node.number}"]).decode()
    for place in ("/var/lib/ec2-lab/instance", "/opt/ec2-lab", "/etc/systemd/system"):
        program, given = program.replace(place, str(directory)), given.replace(f'"{place}', f'"{directory}')
    done = subprocess.run(
        [*node.enter, sys.executable, "-I", "-c", program], input=given, text=True,
        env={"PATH": f"{directory}/bin:{os.environ['PATH']}"}, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    lines = (directory / "experiment.env").read_text().splitlines()
    return done, {name: json.loads(value) for name, _, value in (line.partition("=") for line in lines)}


def run_on_all(nodes, tmp_path, name, tool, **parameters):
    """Run an example's script on both nodes at once; return what each printed, all having ended well."""
    experiment = Experiment.model_validate(chosen(example(name), parameters, name))
    processes, marks = [], []
    for node in nodes:
        marks.append(str(tmp_path / node.name))
        processes.append(begun(node, tmp_path / node.name, name, tool, experiment))
    with ThreadPoolExecutor(len(processes)) as waiting:
        told = list(waiting.map(ended, processes, marks))
    assert [process.returncode for process in processes] == [0, 0], "\n---\n".join(told)
    return told


def begun(node, directory, name, tool, experiment, before=""):
    """Begin the command on a node, with what was brought there."""
    done, told = brought(node, directory, name, experiment)
    assert done.returncode == 0, done.stderr
    write_code(directory, name, before)
    inherited = {key: os.environ[key] for key in INHERITED if key in os.environ}
    own = {
        "PATH": f"{Path(shutil.which(tool)).parent}:{os.environ['PATH']}", "EXPERIMENT": name,
        "OMP_NUM_THREADS": "1", "HOME": str(directory), MARK: str(directory),
    }  # fmt: skip
    return subprocess.Popen(
        [*node.enter, f"--wd={directory}", "bash", directory / "experiment"], text=True,
        env={**inherited, **own, **told},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    )  # fmt: skip


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
