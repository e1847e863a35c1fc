"""What stands on a terminal in the end, once lines were moved over and wiped as programs do."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass

from tests.lab_directory import LabDirectory

SIZE = 24, 80
CONTROL = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|(\r|\n)")


@dataclass(frozen=True)
class Left:
    """How a script ended on a terminal."""

    code: int
    lines: list[str]


def run_on_terminal(lab: LabDirectory, script: str, *, interrupted_at: str = "", **variables: str) -> Left:
    """Run a script on a terminal of 80 columns to its end, or until Ctrl-C once it has said something."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
    said = b""
    with subprocess.Popen(
        [sys.executable, "-m", f"scripts.{script}"], cwd=lab.path, start_new_session=True,
        env=lab.environment(TERM="xterm", **variables), stdin=theirs, stdout=theirs, stderr=theirs,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as process:  # fmt: skip
        os.close(theirs)
        while piece := _read(ours):
            said += piece
            if interrupted_at and interrupted_at.encode() in said:
                os.write(ours, b"\x03")
                interrupted_at = ""
    os.close(ours)
    return Left(process.returncode, left_on_screen(said.decode()))


def _read(terminal: int) -> bytes:
    """Read what a terminal is sent; nothing once nobody has it open, of which Linux makes an error."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def left_on_screen(said: str) -> list[str]:
    """Return the lines that remain of an output whose lines are no longer than the terminal."""
    lines, row, column, at = [""], 0, 0, 0
    for control in CONTROL.finditer(f"{said}\r"):
        text, at = said[at : control.start()], control.end()
        lines[row] = lines[row].ljust(column)[:column] + text + lines[row][column + len(text) :]
        column += len(text)
        count, command, move = control.groups()
        if move == "\n":
            row += 1
            lines += [""] * (row - len(lines) + 1)
        elif move == "\r":
            column = 0
        elif command == "A":
            row = max(0, row - int(count or 1))
        elif command == "K":
            lines[row] = "" if count == "2" else lines[row][:column]
    return [line.rstrip() for line in lines]
