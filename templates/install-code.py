"""Receive what an experiment's instance waits for after its boot (the command, its code, its files), and start it.

Standard input is a line of JSON, then a gzipped tar file or nothing. Nothing is on a command line, which every user of
the instance can read. The JSON has `run` (the id of everything that is sent), `code` (the tar file's SHA-256, "" for
none), `files`: (mode, text) by path, and the `address` of this node and of the `first` ("" for a single instance). The
command is started once: if it has already begun, nothing is changed. The last line printed is the id of the run on the
instance. Python 3.9 or later.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import pathlib
import socket
import subprocess
import sys

ACCOUNT = "experiment"
UNIT = "experiment.service"
STATE = pathlib.Path("/var/lib/ec2-lab/instance")
ENVIRONMENT = pathlib.Path("/opt/ec2-lab/experiment.env")
TRIES, PATIENCE, SSH_PORT = 3, 10, 22
DELIVERED = STATE / "delivered"
"""Which run is there, or why there will be none (delivery-deadline)."""


def begun() -> bool:
    """Say whether the command has begun; it may have ended since."""
    shown = subprocess.run(["systemctl", "is-active", UNIT], check=False, stdout=subprocess.PIPE, text=True)
    return shown.stdout.strip() in ("active", "activating", "deactivating") or (STATE / "ended.json").exists()


def as_account(*command: str, given: bytes = b"") -> None:
    """Run a command as the experiment's account: links in its home lead only where it may go itself."""
    subprocess.run(["runuser", "-u", ACCOUNT, "--", *command], input=given, check=True, cwd="/")


def unpack(tar: bytes) -> None:
    """Unpack the code at ~experiment/code."""
    home = pathlib.Path(f"~{ACCOUNT}").expanduser()
    new, code = str(home / "code.new"), str(home / "code")
    as_account("rm", "-rf", "--", new)
    as_account("mkdir", "--", new)
    as_account("tar", "-x", "-f", "-", "-C", new, given=tar)
    as_account("rm", "-rf", "--", code)
    as_account("mv", "-T", "--", new, code)


def write(path: pathlib.Path, mode: int, text: str) -> None:
    """Write a file of root's atomically, never readable by anybody whom its mode excludes."""
    draft = path.with_name(f".{path.name}.new")
    draft.parent.mkdir(parents=True, exist_ok=True)
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        os.fchmod(opened.fileno(), mode)
        opened.write(text)
    draft.replace(path)


def interface_of(address: str) -> str:
    """Return the network interface with an address; empty where none has it."""
    listed = subprocess.run(["ip", "-json", "address"], check=True, stdout=subprocess.PIPE)
    return next(
        (one["ifname"] for one in json.loads(listed.stdout) for own in one["addr_info"] if own["local"] == address), ""
    )


def sockets_of(address: str) -> str:
    """Return the interface for talking to other nodes, as variables of Gloo, NCCL and TensorPipe.

    By default they use the host name's address, or the first interface: 127.0.1.1, or a docker bridge.
    """
    interface = interface_of(address)
    names = {"GLOO_SOCKET_IFNAME": interface, "TP_SOCKET_IFNAME": interface, "NCCL_SOCKET_IFNAME": f"={interface}"}
    if ":" in address:
        names["NCCL_SOCKET_FAMILY"] = "AF_INET6"
    return "".join(f'{name}="{value}"\n' for name, value in names.items()) if interface else ""


def expect_reached(first: str, address: str) -> None:
    """Raise OSError after a while if the first node is not reachable from this one."""
    for left in range(TRIES - 1, -1, -1):
        try:
            socket.create_connection((first, SSH_PORT), PATIENCE, (address, 0)).close()
        except ConnectionRefusedError:
            return
        except OSError as problem:
            if not left:
                said = f"the first node ({first}) is not reached from this one ({address}): {problem}"
                raise OSError(f"{said}; do network ACL, routes and firewalls let nodes talk?") from problem
        else:
            return


def main(told: dict, content: bytes) -> int:
    """Receive and start."""
    STATE.mkdir(parents=True, exist_ok=True)
    if not begun():
        if told["code"]:
            tar = gzip.decompress(content)
            if hashlib.sha256(tar).hexdigest() != told["code"]:
                print("the code did not arrive whole", file=sys.stderr)
                return 1
            unpack(tar)
        for path, (mode, text) in told["files"].items():
            write(pathlib.Path(path), int(mode, 8), text)
        if told["address"]:
            if told["first"] != told["address"]:
                expect_reached(told["first"], told["address"])
            with ENVIRONMENT.open("a") as environment:
                environment.write(sockets_of(told["address"]))
        write(DELIVERED, 0o644, told["run"])
        if pathlib.Path("/etc/systemd/system", UNIT).exists():
            subprocess.run(["systemctl", "enable", "--now", "--no-block", UNIT], check=True)
    print(DELIVERED.read_text() if DELIVERED.exists() else "")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(json.loads(sys.stdin.buffer.readline()), sys.stdin.buffer.read()))
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as problem:
        sys.exit(f"ec2-lab: install-code: {problem}")
