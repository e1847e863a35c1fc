"""Run a command in bash as the user who logged in, and end it when the connection is lost. Python 3.9 or later.

    run-command COMMAND

A login shell first reads its start-up files, with its input and output redirected to /dev/null, so that the command has
the environment of an experiment's command (PATH, LD_LIBRARY_PATH of /etc/profile.d). It then executes a bash that reads
the command from a file in memory: arguments are in the list of processes, which everybody can read. Standard input is
/dev/null.

The command has its own process group. When the connection is lost, the group gets SIGTERM, and SIGKILL after a grace
period. Processes that the command moved to another session (tmux, setsid) continue.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time

LOGIN = 'exec >&%d 2>&%d %d>&- %d>&-; printf x >&%d; exec %d>&-; exec bash -c "$1"'
RUN = 'IFS= read -r -d "" c <&%d; exec %d<&-; eval "unset c; $c"'
GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""
NEVER_BEGAN = 126


def begin(command: str, begun: int) -> None:
    """Execute the command; write to `begun` just before."""
    os.setsid()
    out, err = os.dup(1), os.dup(2)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    text = os.memfd_create("command")
    os.write(text, os.fsencode(command))
    os.lseek(text, 0, os.SEEK_SET)
    for file in (out, err, begun, text):
        os.set_inheritable(file, True)
    os.environ["PYTHONUNBUFFERED"] = "1"
    script = LOGIN % (out, err, out, err, begun, begun)
    try:
        os.chdir(os.environ["HOME"])
        os.execvp("bash", ["bash", "--login", "-c", script, "bash", RUN % (text, text)])
    except OSError as problem:
        os.write(err, f"ec2-lab: {problem.filename}: {problem.strerror}\n".encode())
        os.write(begun, b"x")
        os._exit(NEVER_BEGAN)


def watched(group: int, woken: int) -> int:
    """Return the wait status of the command. End it if nobody reads its output any more."""
    waiting = select.poll()
    waiting.register(1, 0)
    waiting.register(woken, select.POLLIN)
    while True:
        ended, how = os.waitpid(group, os.WNOHANG)
        if ended:
            return how
        if any(file == 1 for file, _ in waiting.poll()):
            return end(group)
        os.read(woken, 64)


def end(group: int) -> int:
    """End a process group."""
    os.killpg(group, signal.SIGTERM)
    until = time.monotonic() + GRACE
    while time.monotonic() < until and alive(group):
        time.sleep(0.05)
    if alive(group):
        os.killpg(group, signal.SIGKILL)
    return signal.SIGTERM


def alive(group: int) -> bool:
    """Return whether the group has processes left."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(group, os.WNOHANG)
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main(command: str) -> int:
    """Run the command and return its exit status, or 128 plus the number of the signal that killed it."""
    begun, woken = os.pipe(), os.pipe()
    os.set_blocking(woken[1], False)
    signal.set_wakeup_fd(woken[1])
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = os.fork()
    if not child:
        begin(command, begun[1])
    os.close(begun[1])
    how = watched(child, woken[0])
    os.set_blocking(begun[0], False)
    if not select.select([begun[0]], [], [], 0)[0] or not os.read(begun[0], 1):
        print("ec2-lab: the command never started: a start-up file ends bash's login there", file=sys.stderr)
        return NEVER_BEGAN
    return os.WEXITSTATUS(how) if os.WIFEXITED(how) else 128 + os.WTERMSIG(how)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
