"""Store a command for a later login that runs it on a terminal, and print the path of the script to run. Python 3.9+.

    stage-command COMMAND

The script deletes itself and the command first; if nobody runs it within a minute, a process that is left behind does.
Only the user who logged in can read the directory.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
import tempfile
import time

RUN = """\
directory=${0%/*}
exec 3<"$directory/command" || exit
rm -r -- "$directory"
cd || cd /
exec bash --login -c 'exec bash -c "$1"' bash 'IFS= read -r -d "" c <&3; exec 3<&-; eval "unset c; $c"'
"""
"""The command is in no argument: everybody can read those in the list of processes."""
TIMEOUT = 60
"""Seconds."""


def main(command: str) -> None:
    """Store it."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="ec2-lab-"))
    (directory / "command").write_bytes(os.fsencode(command))
    (directory / "run").write_text(RUN)
    print(directory / "run", flush=True)
    if not os.fork():
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
        time.sleep(TIMEOUT)
        shutil.rmtree(directory, ignore_errors=True)
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
