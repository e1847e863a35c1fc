"""Forks scripts from a process that has loaded what they load: to start one takes milliseconds instead of a second.

Started by `script_process.py`, whose messages it gets: which module or file, in which directory and environment, if it
is to wait for real, and four descriptors, standard input, output and error, and where to tell its number and its end.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import fcntl
import gc
import importlib
import inspect
import json
import os
import pkgutil
import random
import runpy
import selectors
import socket
import sys
import termios
import threading
from pathlib import Path
from types import CodeType

import typer.main
from typer.core import _TyperParameter

import ec2lab
import scripts
from ec2lab.aws.local_server import LOCAL_DIRECTORY
from local_cloud.clock import CLOCK_FILE
from tests.cloud_time import live_by
from tests.created_once import make_once

PRELOADED = (
    "argparse", "boto3", "botocore.session", "encodings.idna", "rich._emoji_codes", "rich.box", "rich.console",
    "rich.progress", "rich.table", "typer._adapters", "typer._click.decorators",
)  # fmt: skip
SERVICES = ("ec2", "sts", "ssm", "pricing", "service-quotas", "ebs", "s3", "dynamodb", "cloudtrail", "iam")
NOT_PRELOADED = "scripts.environment"
"""It runs before anything is installed."""
AS_MAIN: dict[str, CodeType] = {}
"""For each script, what it does when it is run as a program: its last statement."""


def preload() -> None:
    """Import what scripts import, and read what botocore reads, once for all of them."""
    for name in PRELOADED:
        importlib.import_module(name)
    for package in (ec2lab, scripts):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name != NOT_PRELOADED:
                importlib.import_module(module.name)
    make_once(SERVICES)
    for module in pkgutil.iter_modules(scripts.__path__, f"{scripts.__name__}."):
        if module.name != NOT_PRELOADED:
            prepare(module.name)
    put_away_what_is_measured()
    gc.freeze()


def prepare(script: str) -> None:
    """Compile what a script does only when it is run, and make its command, which takes a third of a short run."""
    module = sys.modules[script]
    *_, last = ast.parse(inspect.getsource(module)).body
    AS_MAIN[script] = compile(ast.Module([last], []), str(module.__file__), "exec")
    if app := getattr(module, "app", None):
        for parameter in typer.main.get_command(app).params:
            if isinstance(parameter, _TyperParameter):
                parameter.get_runtime_param()


def put_away_what_is_measured() -> None:
    """Write what coverage.py has measured of loading: each fork would begin with it, and write it once more."""
    if (coverage := sys.modules.get("coverage")) and (measuring := coverage.Coverage.current()):
        measuring.save()


def wanted(control: socket.socket) -> str:
    """Fork a process for each message; return, in each of them, the module or the file that it is to run."""
    running: dict[int, tuple[int, int]] = {}
    with selectors.PollSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd in running:
                    selector.unregister(key.fd)
                    tell_end(key.fd, *running.pop(key.fd))
                    continue
                message, descriptors, _, _ = socket.recv_fds(control, 1 << 20, 4)
                if not message:
                    sys.exit()  # the tests are over
                pid = os.fork()
                if pid == 0:
                    control.detach()
                    return become(json.loads(message), descriptors)
                *streams, told = descriptors
                for stream in streams:
                    os.close(stream)
                os.write(told, pid.to_bytes(4, "big", signed=True))
                watched = os.pidfd_open(pid)
                running[watched] = (pid, told)
                selector.register(watched, selectors.EVENT_READ)


def tell_end(watched: int, pid: int, told: int) -> None:
    """Tell how a process ended: its exit code, or the signal, negative."""
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(BrokenPipeError):  # a test may not wait for it
        os.write(told, os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
    os.close(told)
    os.close(watched)


def become(wish: dict, descriptors: list[int]) -> str:
    """Be the process that was asked for, as if it had been started for itself."""
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    if os.isatty(0):
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.chdir(wish["directory"])
    os.environ.clear()
    os.environ.update(wish["environment"])
    random.seed()
    if (clock := Path(LOCAL_DIRECTORY, CLOCK_FILE)).exists():
        live_by(clock, waits=wish["waits"])
    sys.argv = [wish["module"]]
    sys.orig_argv = [sys.executable, *([] if is_file(wish["module"]) else ["-m"]), wish["module"]]
    sys.path[0] = wish["directory"]
    lie_in_the_way(wish["environment"]["PYTHONPATH"].split(os.pathsep)[:-1])
    return wish["module"]


def is_file(program: str) -> bool:
    """Say whether what is to run is a file of the user's own, and no module."""
    return program.endswith(".py")


def lie_in_the_way(directories: list[str]) -> None:
    """Import what Python would at its start, where a test has put that in the way of Python's own modules."""
    sys.path[1:1] = directories
    if directories:
        sys.modules.pop("sitecustomize", None)
        importlib.import_module("sitecustomize")


def end(ending: SystemExit) -> None:
    """End this process as Python does, but for taking apart all that the server has loaded, which takes 60 ms."""
    if isinstance(ending.code, str):
        raise ending
    threading._shutdown()  # noqa: SLF001 - Python's own way to wait for threads
    atexit._run_exitfuncs()  # noqa: SLF001
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ending.code or 0)


if __name__ == "__main__":
    preload()
    of_this_process = wanted(socket.socket(fileno=int(sys.argv[1])))
    try:
        if is_file(of_this_process):
            runpy.run_path(of_this_process, run_name="__main__")
            sys.exit()
        main = sys.modules["__main__"] = sys.modules.pop(of_this_process)
        main.__name__, sys.argv = "__main__", [str(main.__file__)]
        exec(AS_MAIN[of_this_process], vars(main))  # noqa: S102
    except SystemExit as ending:
        end(ending)
