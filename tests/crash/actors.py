"""Many scripts at once on few cores: forked from a process that has everything loaded, to live and die as any other."""

import importlib
import multiprocessing
import os
import sys
from pathlib import Path

from tests.lab_directory import VARIABLES

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["boto3", "scripts.launch", "scripts.teardown", "scripts.core.experiment_launch", "scripts.core.taking_down",
     "scripts.core.definition", "scripts.core.launch_report", "scripts.builtin", "tests.crash.actors"]
)  # fmt: skip
PATIENCE = 120


def start(lab, script, **variables):
    """Start a script in a lab."""
    log = lab.path / f"{script}-{variables['EXP']}.log"
    process = CONTEXT.Process(target=_act, args=(str(lab.path), script, variables, str(log)))
    process.start()
    return process


def end(process):
    """Wait for a script, and return its exit code; minus nine where it was killed."""
    process.join(PATIENCE)
    assert process.exitcode is not None, "a script hangs"
    return process.exitcode


def _act(directory: str, script: str, variables: dict[str, str], log: str) -> None:
    os.chdir(directory)
    for name in [name for name in os.environ if name in VARIABLES or name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(variables)
    with Path(log).open("a") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    sys.argv = [script]
    module = importlib.import_module(f"scripts.{script}")
    from scripts.core.console import run

    run(module.app)
