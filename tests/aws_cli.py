"""An `aws` for tests that start it often: the real AWS CLI, forked by `aws_cli_server.py`, for that is quick."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SERVER = Path(__file__).with_name("aws_cli_server.py")
COMMAND = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    wish = {{"arguments": sys.argv[1:], "environment": dict(os.environ), "directory": os.getcwd()}}
    socket.send_fds(server, [json.dumps(wish).encode()], [0, 1, 2])
    sys.exit(server.recv(1)[0])
"""


def is_installed() -> bool:
    """Say whether there is an AWS CLI."""
    return shutil.which("aws") is not None


def _its_python() -> str | None:
    """Return the Python that an `aws` on the PATH is a script of; None where all are programs of another kind."""
    for directory in os.get_exec_path():
        with suppress(OSError), Path(directory, "aws").open("rb") as installed:
            first = installed.readline().decode(errors="replace").strip()
            if first.startswith("#!") and "python" in Path(first[2:]).name:
                return first[2:]
    return None


@contextmanager
def serving(directory: Path) -> Iterator[Path]:
    """Have an AWS CLI at the ready meanwhile; give the directory that its `aws` is in, none if it can't be forked."""
    python = _its_python()
    if python is None:
        yield directory
        return
    address = str(directory / "socket")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        descriptor = listening.fileno()
        server = subprocess.Popen([python, SERVER, str(descriptor)], pass_fds=[descriptor], cwd=directory)
        command = directory / "aws"
        command.write_text(COMMAND.format(python=sys.executable, address=address))
        command.chmod(0o755)
        try:
            yield directory
        finally:
            server.kill()
            server.wait()
