"""A script that runs, seen as subprocess.Popen shows one: forked by `script_server.py`, for that is quick."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from functools import cache
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).parents[1]
IS_AVAILABLE = hasattr(os, "pidfd_open")
"""Linux has what the server watches its processes by."""

_starting = threading.Lock()


class ScriptProcess:
    """A running script; its output is text."""

    def __init__(
        self, module: str, directory: Path, environment: dict[str, str], *, waits: bool, columns: int = 0
    ) -> None:
        """Start a module, or a file, in a directory; unless it `waits`, its pauses advance the local cloud's clock.

        With `columns`, it has a terminal so wide to itself: its errors are among its output, and keys reach it.
        """
        out, theirs_out = terminal(columns) if columns else os.pipe()
        err, theirs_err = (os.open(os.devnull, os.O_RDONLY), os.dup(theirs_out)) if columns else os.pipe()
        self._told, told = socket.socketpair()
        with Path(os.devnull).open() as nothing, _starting:
            message = {"module": module, "directory": str(directory), "environment": environment, "waits": waits}
            descriptors = [theirs_out if columns else nothing.fileno(), theirs_out, theirs_err, told.fileno()]
            socket.send_fds(_server(), [json.dumps(message).encode()], descriptors)
        for descriptor in (theirs_out, theirs_err):
            os.close(descriptor)
        told.close()
        self.stdout: IO[str] | None = os.fdopen(out)
        self.stderr: IO[str] | None = os.fdopen(err)
        self.returncode: int | None = None
        self.pid = self._heard()

    def poll(self) -> int | None:
        """Return how it ended; None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return how it ended. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            self._told.settimeout(timeout)
            try:
                self.returncode = self._heard()
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0) from None
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Read all that it says until it ends. Raises subprocess.TimeoutExpired."""
        said = {"stdout": "", "stderr": ""}

        def read(name: str) -> None:
            if stream := getattr(self, name):
                said[name] = shown(stream.fileno()) if stream.isatty() else stream.read()
                stream.close()

        readers = [threading.Thread(target=read, args=(name,), daemon=True) for name in said]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join(timeout)
        return said["stdout"], said["stderr"]

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def _heard(self) -> int:
        heard = self._told.recv(4)
        if not heard:
            raise RuntimeError("the script server has ended; what it said stands above")
        return int.from_bytes(heard, "big", signed=True)


def terminal(columns: int) -> tuple[int, int]:
    """Return our end of a new terminal, and the one that a process has."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    return ours, theirs


def shown(ours: int) -> str:
    """Return all that a terminal is sent; its end is an error."""
    pieces = []
    with contextlib.suppress(OSError):
        while piece := os.read(ours, 1 << 16):
            pieces.append(piece)
    return b"".join(pieces).decode().replace("\r\n", "\n")


@cache
def _server() -> socket.socket:
    """Return the way to this test process's own server, which ends when the process does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    subprocess.Popen(
        [sys.executable, "-m", "tests.script_server", str(theirs.fileno())],
        cwd=REPOSITORY, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
        env={key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
    )  # fmt: skip
    theirs.close()
    return ours
