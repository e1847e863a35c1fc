"""What stands on a terminal in the end, once lines were moved over and wiped as programs do."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterable

from tests.lab_directory import LabDirectory

SIZE = 24, 80
CONTROL = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|(\r|\n)")


def run_on_terminal(lab: LabDirectory, script: str, **variables: str) -> list[str]:
    """Run a script on a terminal of 80 columns to its end; return the lines that it leaves there."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", f"scripts.{script}"], cwd=lab.path, start_new_session=True,
        env=lab.environment(TERM="xterm", **variables), stdin=theirs, stdout=theirs, stderr=theirs,
    ):  # fmt: skip
        os.close(theirs)
        said = b"".join(pieces(ours))
    os.close(ours)
    return left_on_screen(said.decode())


def pieces(terminal: int) -> Iterable[bytes]:
    """Yield what a terminal is sent, until nobody has it open."""
    try:
        while said := os.read(terminal, 65536):
            yield said
    except OSError:  # Linux says so where the other end is closed
        return


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
