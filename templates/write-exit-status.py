#!/usr/bin/python3 -I
"""Record how an experiment's command ended. systemd runs this in every case, with the result in its environment.

    write-exit-status begins    before the command: reserve disk space for the result; exits with 1 if the command
                                began before and the instance went off while it ran
    write-exit-status           after the command, or after such an exit with 1

EXIT_CODE, EXIT_STATUS and SERVICE_RESULT are those of systemd.exec(5). Standard output is the pipe that the command
wrote to. Python 3.9 or later.
"""

from __future__ import annotations

import contextlib
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
"""Exists from the command's begin to its end, and has the space for the exit status."""
RUNTIME = pathlib.Path("/run/ec2-lab")
MISSING = RUNTIME / "log-missing"
BEGUN = RUNTIME / "experiment/begun"
"""Created first by the command's script, after everything that a login does."""
WHY = RUNTIME / "never-began"
"""Why, where something that comes before it knows that."""
ROOM = 4096
PROCESSES = pathlib.Path("/sys/fs/cgroup/system.slice/experiment.service/cgroup.procs")
LOOK, LOOKS = 0.1, 2400
"""Seconds, and how often: both waits together are shorter than TimeoutStopSec."""


def exit_code(ended: str, status: str) -> int:
    """Return the exit code of the command as in a shell: 128 plus the signal's number where it was killed."""
    if ended == "exited":
        return int(status)
    return 128 + getattr(signal, f"SIG{status}", -127)


def unread() -> int:
    """Return the number of bytes in the pipe; 0 where standard output is something else."""
    try:
        return int.from_bytes(fcntl.ioctl(1, termios.FIONREAD, bytes(4)), "little")
    except OSError:
        return 0


def content(path: pathlib.Path) -> str:
    """Return what a file holds; nothing where there is none."""
    return path.read_text() if path.exists() else ""


def left() -> set:
    """Return the command's remaining processes: all of the unit's but this one."""
    return {*map(int, content(PROCESSES).split())} - {os.getpid()}


def wait_for_end() -> None:
    """Wait until no process is left, and all output is in the log.

    systemd waits only for the first process, and others may be saving their state. After the exit status, readers of
    the log stop, or the instance ends.
    """
    with (RUNTIME / "log-lock").open("w") as lock:
        for _ in range(LOOKS):
            fcntl.flock(lock, fcntl.LOCK_EX)  # write-log holds it from reading something until it is written
            if not unread() and not left():
                return
            fcntl.flock(lock, fcntl.LOCK_UN)
            time.sleep(LOOK)
    for number in left():
        with contextlib.suppress(OSError):
            os.kill(number, signal.SIGKILL)


def sync(path: pathlib.Path) -> None:
    """Flush a file or a directory to disk."""
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.close(file)


def begin() -> int:
    """Reserve space for the exit status; the command runs even if that fails."""
    if DRAFT.exists():
        return 1
    try:
        ENDED.parent.mkdir(parents=True, exist_ok=True)
        ENDED.unlink(missing_ok=True)
        DRAFT.write_bytes(bytes(ROOM))
    except OSError as problem:
        print(f"ec2-lab: write-exit-status: {problem}")
    return 0


OUT_OF_MEMORY = ": killed by SIGKILL, often for lack of memory"


def ending() -> tuple[int, str]:
    """Return the exit code, and why it is not the command's own, if so."""
    if os.environ.get("SERVICE_RESULT") == "exec-condition":
        return (
            128 + signal.SIGKILL,
            "the instance was started again while the command ran; the command does not run again",
        )
    code = exit_code(os.environ.get("EXIT_CODE", ""), os.environ.get("EXIT_STATUS", ""))
    if BEGUN.exists():
        return code, ""
    login = f"the command never started: what a login does before it (/etc/profile) exited with status {code}"
    return code or 1, content(WHY) or login


def main() -> int:
    """Write it atomically, readable by everybody."""
    code, why = ending()
    wait_for_end()
    meaning = OUT_OF_MEMORY if code == 128 + signal.SIGKILL else ""
    print("ec2-lab:", why or f"the command exited with status {code}{meaning}", flush=True)
    wait_for_end()
    told = {"exit_code": code, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    # The digest of its container's image is pull-container's.
    known = {"why": why, "container": content(ENDED.with_name("container")), "log_missing": content(MISSING)}
    told |= {name: text for name, text in known.items() if text}
    with os.fdopen(os.open(DRAFT, os.O_WRONLY | os.O_CREAT, 0o644), "w") as draft:  # in its reserved space
        draft.write(json.dumps(told) + "\n")
        draft.truncate()
    sync(DRAFT)
    DRAFT.replace(ENDED)
    sync(ENDED.parent)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(begin() if sys.argv[1:] else main())
    except (OSError, ValueError, LookupError) as problem:
        sys.exit(f"ec2-lab: write-exit-status: {problem}")
