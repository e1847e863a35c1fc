#!/usr/bin/python3 -I
"""Write down how an experiment's command ended. systemd runs it, however that was, and says so in the environment.

    write-ending begins    before the command: take the room for it, as the disk may be full in the end
    write-ending           after it

EXIT_CODE and EXIT_STATUS are those of systemd.exec(5). Standard output is the pipe that the command printed into.
Python 3.9 or later.
"""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import signal
import sys
import termios
import time

ENDED = pathlib.Path("/var/lib/ec2-lab/instance/ended.json")
DRAFT = ENDED.with_suffix(".new")
RUNTIME = pathlib.Path("/run/ec2-lab")
MISSING = RUNTIME / "log-missing"
ROOM = 4096
LOOK, LOOKS = 0.1, 600


def exit_code(ended: str, status: str) -> int:
    """Return the exit code of the command, as a shell has it: 128 and the signal's number where it was killed."""
    if ended == "exited":
        return int(status)
    number = getattr(signal, f"SIG{status}", None)
    return 128 + int(number) if number else 1


def unread() -> int:
    """Return how many bytes are in the pipe; none where standard output is something else."""
    try:
        return int.from_bytes(fcntl.ioctl(1, termios.FIONREAD, bytes(4)), sys.byteorder)
    except OSError:
        return 0


def wait_for_log() -> None:
    """Wait until all that was printed is in the log: who sees the end may stop to read it, or the machine ends."""
    with (RUNTIME / "log-lock").open("w") as lock:
        for _ in range(LOOKS):
            fcntl.flock(lock, fcntl.LOCK_EX)  # write-log has it from when it takes something until that is written
            if not unread():
                return
            fcntl.flock(lock, fcntl.LOCK_UN)
            time.sleep(LOOK)


def take_room() -> None:
    """Forget an earlier end, and take the room for the next."""
    ENDED.parent.mkdir(parents=True, exist_ok=True)
    ENDED.unlink(missing_ok=True)
    DRAFT.write_bytes(bytes(ROOM))


def main() -> None:
    """Write it as a whole, for everybody to read."""
    code = exit_code(os.environ.get("EXIT_CODE", ""), os.environ.get("EXIT_STATUS", ""))
    print(f"ec2-lab: the command ended with {code}", flush=True)
    wait_for_log()
    ending = {"exit_code": code, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    if MISSING.exists():
        ending["log_missing"] = MISSING.read_text()
    with os.fdopen(os.open(DRAFT, os.O_WRONLY | os.O_CREAT, 0o644), "w") as draft:  # in the room that it has
        draft.write(json.dumps(ending) + "\n")
        draft.truncate()
    DRAFT.replace(ENDED)


if __name__ == "__main__":
    try:
        take_room() if sys.argv[1:] else main()
    except (OSError, ValueError, LookupError) as problem:
        sys.exit(f"ec2-lab: write-ending: {problem}")
