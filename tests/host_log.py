"""A command's log, written by the program that an instance has for it, from a pipe like the one that systemd makes."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import termios
from pathlib import Path

from ec2lab.runs.logs import Piece, pieces_in
from ec2lab.templates import text_of
from tests.changed_constants import sent_with
from tests.waiting import wait_until


class HostLog:
    """What one instance has of it, below a directory."""

    def __init__(self, directory: Path, disk: Path | None = None, **constants: str) -> None:
        """Make the pipe; the log is on a `disk`, or below the directory. Constants of the program have other values."""
        self.directory, self.run = directory, directory / "run"
        self.state = disk or directory / "state"
        self.log, self.ended, self.output = self.state / "log", self.state / "ended.json", self.run / "output"
        self.begun = self.run / "experiment/begun"
        """What the command's script makes."""
        self.begun.parent.mkdir(parents=True)
        self.begun.touch()
        os.mkfifo(self.output)
        self.pipe = os.open(self.output, os.O_RDWR | os.O_CLOEXEC)
        """As systemd holds it: nobody who reads or writes meets an end."""
        fcntl.fcntl(self.pipe, fcntl.F_SETPIPE_SZ, 1 << 20)
        self.constants = constants
        self.writing: subprocess.Popen | None = None

    def program(self, name: str) -> str:
        """Return a program of the instance's, at home below the directory."""
        known = {constant for line in text_of(name).splitlines() for constant in [line.partition(" = ")[0]]}
        text = sent_with(name, **{constant: value for constant, value in self.constants.items() if constant in known})
        for place, own in {"/var/lib/ec2-lab/instance": self.state, "/run/ec2-lab": self.run}.items():
            assert place in text
            text = text.replace(place, str(own))
        return text

    def write(self) -> None:
        """Start what writes the log, as systemd does when something is in the pipe."""
        self.writing = subprocess.Popen([sys.executable, "-I", "-c", self.program("write-log.py")], stdin=self.pipe)

    def command(self, script: str) -> int:
        """Run a command of bash that prints into the pipe; return its exit code."""
        with self.output.open("wb") as output:
            done = subprocess.run(["bash", "-c", script], stdout=output, stderr=output, check=False, timeout=60)
            return done.returncode

    def prints(self, data: bytes) -> None:
        """Print something."""
        with self.output.open("wb") as output:
            output.write(data)

    def begins(self) -> bool:
        """Do what the unit does before the command; say whether it is begun then."""
        command = [sys.executable, "-I", "-c", self.program("write-exit-status.py"), "begins"]
        return subprocess.run(command, check=False).returncode == 0

    def ends(self, code: int = 0, result: str = "success") -> dict:
        """Do what the unit does after the command; return what is written of its end."""
        with self.output.open("wb") as output:
            subprocess.run(
                [sys.executable, "-I", "-c", self.program("write-exit-status.py")], check=True, stdout=output,
                timeout=60,
                env={"EXIT_CODE": "exited", "EXIT_STATUS": str(code), "SERVICE_RESULT": result},
            )  # fmt: skip
        return json.loads(self.ended.read_text())

    def has(self, content: bytes) -> bool:
        """Wait until the log ends with something."""
        return wait_until(lambda: self.log.exists() and self.log.read_bytes().endswith(content), 20)

    def followed(self, place: int = 0) -> list[Piece]:
        """Read what a follower is sent from a place on, until the end."""
        command = [sys.executable, "-I", "-c", self.program("follow-log.py"), str(place)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=60)
        return list(pieces_in([done.stdout], "it"))

    @property
    def unread(self) -> int:
        """How much is in the pipe."""
        return int.from_bytes(fcntl.ioctl(self.pipe, termios.FIONREAD, bytes(4)), sys.byteorder)

    def close(self) -> None:
        """End what runs."""
        if self.writing:
            self.writing.kill()
            self.writing.wait()
        os.close(self.pipe)
