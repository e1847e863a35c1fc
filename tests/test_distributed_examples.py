"""The examples of docs/nodes.md, as their instances run them: with real torchrun and Ray, on two nodes of namespaces.

On each the host's own name leads to 127.0.1.1, and docker's bridge has the same address as on the other.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ec2lab.config.models import Experiment
from ec2lab.config.parameters import chosen
from ec2lab.runs.command import command_script
from ec2lab.runs.distributed_env import RAY_PORT, node_environments
from tests.distributed_example import INSTANCES, begun, brought, ended, example, run_on_all
from tests.two_nodes import ADDRESSES, ADDRESSES_6
from tests.waiting import wait_until

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


@needs("torchrun")
@pytest.mark.timeout(200)
@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.full)])
def test_torchrun_forms_one_group_of_all_processes_of_all_nodes(nodes, tmp_path, processes):
    told = run_on_all(nodes, tmp_path, "ddp", "torchrun", processes=processes)
    world = 2 * processes
    assert sorted(re.findall(r"rank . of .*", "".join(told))) == [
        f"rank {rank} of {world}: the sum is {world}" for rank in range(world)
    ]
    assert all(text.count("the sum is") == processes for text in told), "as many on each node"


@needs("torchrun")
@pytest.mark.full
@pytest.mark.timeout(200)
@pytest.mark.parametrize("late", [0, 1])
def test_torchrun_waits_for_a_node_that_comes_late_and_starts_a_rank_again_that_failed(nodes, tmp_path, late):
    written = example("ddp")
    written["command"] = written["command"].replace("torchrun", "torchrun --max-restarts 1")
    experiment = Experiment.model_validate(chosen(written, {"processes": 1}, "ddp"))
    fails = 'import os, sys\nif os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":\n    sys.exit(9)\n'
    directories = [tmp_path / node.name for node in nodes]
    early = begun(nodes[1 - late], directories[1 - late], "ddp", "torchrun", experiment)
    if late:
        wait_until(lambda: ":29500" in nodes[0].run("ss", "--listening", "--tcp", "--numeric").stdout)
    else:
        assert any("node_rank" in line for line in early.stdout), "it has begun, and there is no store yet"
    other = begun(nodes[late], directories[late], "ddp", "torchrun", experiment, fails)
    told = [ended(process, str(directories[rank])) for process, rank in ((other, late), (early, 1 - late))]
    assert (other.returncode, early.returncode) == (0, 0), "\n---\n".join(told)
    assert "exitcode: 9" in told[0]
    for rank, text in zip((late, 1 - late), told, strict=True):
        assert f"rank {rank} of 2: the sum is 2" in text


def test_a_node_is_told_by_which_interface_the_others_are_reached_by_ipv6_too(nodes, tmp_path):
    experiment = Experiment.model_validate(chosen(example("ddp"), {}, "ddp"))
    done, told = brought(nodes[1], tmp_path / "4", "ddp", experiment)
    assert done.returncode == 0, done.stderr
    wanted = {"GLOO_SOCKET_IFNAME": "ens5", "TP_SOCKET_IFNAME": "ens5", "NCCL_SOCKET_IFNAME": "=ens5"}
    assert told.items() >= wanted.items()
    six = [{**m, "PrivateIpAddress": None, "Ipv6Address": own} for m, own in zip(INSTANCES, ADDRESSES_6, strict=True)]
    done, told = brought(nodes[1], tmp_path / "6", "ddp", experiment, six)
    assert done.returncode == 0, done.stderr
    assert told.items() >= {**wanted, "NCCL_SOCKET_FAMILY": "AF_INET6"}.items()
    assert told["PET_RDZV_ENDPOINT"] == f"[{ADDRESSES_6[0]}]:29500"


def test_a_first_node_that_is_not_reached_is_an_error_in_words_before_anything_begins(nodes, tmp_path):
    nodes[0].run("ip", "link", "set", "ens5", "down")
    experiment = Experiment.model_validate(chosen(example("ddp"), {}, "ddp"))
    done, _ = brought(nodes[1], tmp_path / "node", "ddp", experiment)
    assert done.returncode == 1
    assert f"the first node ({ADDRESSES[0]}) is not reached from this one ({ADDRESSES[1]}): " in done.stderr
    assert not (tmp_path / "node/delivered").exists()


@needs("ray")
def test_with_ray_a_node_joins_when_there_is_a_head_and_ends_with_it_by_options_that_ray_has(tmp_path):
    (head,), node = asked_of_ray(tmp_path)
    assert head == f"start --head --node-ip-address {ADDRESSES[0]} --port {RAY_PORT} --disable-usage-stats"
    join = f"start --address {ADDRESSES[0]}:{RAY_PORT} --node-ip-address {ADDRESSES[1]}"
    assert node == [join, join] + 3 * [f"health-check --address {ADDRESSES[0]}:{RAY_PORT}"]
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
    for told in node_environments("many", INSTANCES).values():
        asked.write_text("")
        path = f"{directory}:{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": str(directory), "EXPERIMENT": "many", **told}
        subprocess.run(["bash", "-c", command_script(experiment)], cwd=directory, env=environment, check=True)
        found.append(asked.read_text().splitlines())
    return found


@needs("ray")
@pytest.mark.full
@pytest.mark.timeout(200)
def test_ray_forms_one_cluster_that_works_on_all_nodes_and_ends_with_its_program(nodes, tmp_path):
    head, _ = run_on_all(nodes, tmp_path, "many", "ray")
    assert len({line for line in head.splitlines() if line.startswith("worked on")}) == 2, head
