"""Keep a file system frozen while the caller is connected. Runs on the host as root, on Python 3.9 or later.

    freeze /data 120    freezes /data, prints "frozen", and thaws it when standard input ends, or after 120 seconds

Whatever happens to the caller (Ctrl-C, a lost connection, a closed laptop), standard input ends. A separate process,
the guard, freezes and thaws: it detects the end of this one, even by SIGKILL, and this one detects the guard's. If the
file system is not frozen, the reason is printed instead of "frozen".
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys

FREEZE, THAW = 0xC0045877, 0xC0045878
"""FIFREEZE and FITHAW, _IOWR('X', 119, int) and 120, linux/fs.h: no command has to be loaded while it is frozen."""
SYSTEM = ("/", "/etc", "/usr", "/var", "/var/log", "/tmp")
"""The host needs to write here to stay reachable: logins, sudo, the journal. All of that would hang."""
ROOT_CGROUP = pathlib.Path("/sys/fs/cgroup/cgroup.procs")
REASONS = {errno.EBUSY: "it is frozen already", errno.EOPNOTSUPP: "a file system of its type can't be frozen"}
ENDINGS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)


def main(mount: str, seconds: float) -> int:
    """Freeze, wait, thaw; 1 where it cannot be frozen, or did not stay so."""
    for ending in ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    if refusal := why_not(mount):
        print(refusal, flush=True)
        return 1
    directory = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
    subprocess.run(["sync", "--file-system", mount], check=True)  # what is written now need not be written while frozen
    told, guards = socket.socketpair()
    if not os.fork():
        told.close()
        os._exit(guard(directory, guards, seconds))
    guards.close()
    return watch(directory, told, mount, seconds)


def why_not(mount: str) -> str:
    """Return why a file system must not be frozen; empty where it may be."""
    if not findmnt("TARGET", "--mountpoint", mount):
        return "nothing is mounted there"
    there = (path for path in SYSTEM if pathlib.Path(path).exists())
    within = next((path for path in there if same_filesystem(path, mount)), "")
    return f"{within} lies in it, without which nobody could log in to thaw it" if within else ""


def same_filesystem(one: str, other: str) -> bool:
    """Say whether two paths are on one file system; each subvolume of a btrfs has a device number of its own."""
    devices = {findmnt("SOURCE", "--nofsroot", "--target", path) for path in (one, other)}
    return pathlib.Path(one).stat().st_dev == pathlib.Path(other).stat().st_dev or (
        len(devices) == 1 and devices.pop().startswith("/dev/")
    )


def findmnt(column: str, *which: str) -> str:
    """Return findmnt's values for a mount; empty where there is none."""
    command = ["findmnt", "--noheadings", "--output", column, *which]
    return subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout.decode(errors="replace").strip()


def guard(directory: int, told: socket.socket, seconds: float) -> int:
    """Freeze, report it, and thaw when the other process asks for it, has ended, or takes too long."""
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for file in range(3):  # or a reader of the other's output would wait for this one
        os.dup2(nowhere, file)
    with contextlib.suppress(OSError):  # or it ends with its login, where logind has KillUserProcesses
        ROOT_CGROUP.write_text(str(os.getpid()))
    try:
        fcntl.ioctl(directory, FREEZE, 0)
    except OSError as problem:
        told.send((REASONS.get(problem.errno or 0) or str(problem)).encode())
        return 1
    try:
        told.send(b"frozen")
        select.select([told], [], [], seconds)
    finally:
        fcntl.ioctl(directory, THAW, 0)
    told.send(b"thawed")
    return 0


def watch(directory: int, told: socket.socket, mount: str, seconds: float) -> int:
    """Report that it is frozen, and let the guard thaw it when standard input ends; thaw it if the guard has died."""
    how = told.recv(1024).decode()
    if how != "frozen":
        print(how or "the guard that would thaw it has died", flush=True)
        if not how:
            with contextlib.suppress(OSError):  # it was not frozen yet
                fcntl.ioctl(directory, THAW, 0)
        return 1
    asked = False
    with contextlib.suppress(OSError):  # nobody reads any more
        print("frozen", flush=True)
        asked = told not in select.select([0, told], [], [])[0]
    told.shutdown(socket.SHUT_WR)
    if told.recv(1024) != b"thawed":
        print(f"{mount}: {thawed_otherwise(directory)}", file=sys.stderr)
        return 1
    if not asked:
        print(f"{mount}: thawed by itself after {seconds:.0f} s", file=sys.stderr)
    return 0 if asked else 1


def thawed_otherwise(directory: int) -> str:
    """Thaw a file system whose guard did not, and return why it did not."""
    try:
        fcntl.ioctl(directory, THAW, 0)
    except OSError:  # EINVAL: it is not frozen
        return "somebody else has thawed it; what was written since may be in the snapshot in part"
    return "thawed: its guard has died"


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], float(sys.argv[2])))
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as problem:
        sys.exit(f"ec2-lab: freeze: {problem}")
