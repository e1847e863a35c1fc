"""Store a command for a later login that runs it on a terminal, and print the path of the script to run. Python 3.9+.

    stage-command COMMAND

The script deletes itself and the command first. Only the user who logged in can read the directory.
"""

from __future__ import annotations

import os
import pathlib
import sys
import tempfile

RUN = """\
directory=${0%/*}
command=$(cat "$directory/command" && echo x) || exit
rm -r -- "$directory"
cd || cd /
exec bash --login -c 'exec bash -c "$1"' bash "${command%x}"
"""
"""A command substitution drops trailing newlines: the x at the end preserves those of the command."""


def main(command: str) -> None:
    """Store it."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="ec2-lab-"))
    (directory / "command").write_bytes(os.fsencode(command))
    (directory / "run").write_text(RUN)
    print(directory / "run")


if __name__ == "__main__":
    main(sys.argv[1])
