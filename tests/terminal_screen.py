"""What stands on a terminal in the end, once lines were moved over and wiped as programs do."""

from __future__ import annotations

import os
import re
import select
from contextlib import suppress
from dataclasses import dataclass

from tests.lab_directory import LabDirectory
from tests.script_process import ScriptProcess

COLUMNS = 80
CTRL_C = b"\x03"
PATIENCE = 30.0  # seconds without any output after Ctrl-C
CONTROL = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|(\r|\n)")


@dataclass(frozen=True)
class Left:
    """How a script ended on a terminal."""

    code: int
    lines: list[str]


def run_on_terminal(lab: LabDirectory, script: str, *, interrupted_at: str = "", **variables: str) -> Left:
    """Run a script on a terminal of 80 columns to its end, or until Ctrl-C once it has said something."""
    environment = lab.environment(TERM="xterm", **variables)
    process = ScriptProcess(f"scripts.{script}", lab.path, environment, waits=bool(interrupted_at), columns=COLUMNS)
    ours, said, pressed = process.stdout.fileno(), b"", False
    with suppress(OSError):  # of which Linux makes the end
        while True:
            if pressed and not select.select([ours], [], [], PATIENCE)[0]:
                os.write(ours, CTRL_C)  # as a person does whom nothing answers
            if not (piece := os.read(ours, 65536)):
                break
            said += piece
            if interrupted_at and not pressed and interrupted_at.encode() in said:
                pressed = bool(os.write(ours, CTRL_C))
    return Left(process.wait(), left_on_screen(said.decode()))


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
