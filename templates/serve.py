"""Start a web server on loopback under the experiment's account, or find the one that runs. Python 3.9 or later.

    serve

Runs as root. Standard input is a JSON object with `name`, `arguments`, `port`, `secret` and `how`, the way in which the
secret reaches the server. Command lines and logs do not contain the secret, because any account of the instance could
read them:

    JUPYTER_TOKEN       in that environment variable, which only the account's own processes and root can read
    path                in place of SECRET in the arguments, which a Python program takes from its environment

The server outlives the connection. Prints a JSON object: the port, the account and the secret, or what went wrong.
"""

from __future__ import annotations

import json
import os
import pathlib
import pwd
import re
import socket
import subprocess
import sys
import time

RUNTIME = pathlib.Path("/run/ec2-lab")
ACCOUNT = "experiment"
"""The command's own; where no experiment has a command, the server runs as whoever logged in."""
LOGIN = 'cd; PATH="$PATH:$HOME/.local/bin:$HOME/.venv/bin"; export PATH; '
PATIENCE = 90.0
"""Seconds until it listens."""
LAST = 3000
"""Bytes of its log that are reported if it fails."""
HIDDEN = """
import json, os, runpy, sys
script, *rest = json.loads(os.environ.pop("EC2_LAB_SERVE"))
sys.argv = [script, *rest]
runpy.run_path(script, run_name="__main__")
"""


def main() -> dict:
    """Return the response."""
    wanted = json.load(sys.stdin)
    RUNTIME.mkdir(mode=0o755, exist_ok=True)
    state = RUNTIME / f"serve-{wanted['name']}.json"
    who = account()
    if (running := known(state)) and running["arguments"] == wanted["arguments"]:
        return {**running["told"], "already_running": True}
    found = as_account(who, 'command -v "$0" || true', wanted["name"])
    path = found.stdout.strip().rpartition("\n")[2]
    if not path.startswith("/"):
        return {"missing": wanted["name"], "account": who.pw_name}
    port = free_port(wanted["port"])
    log = RUNTIME / f"serve-{wanted['name']}.log"
    server = start(who, path, wanted, port, log)
    if not listens(server, port, who.pw_uid):
        server.kill()
        return {"failed": log.read_text(errors="replace")[-LAST:], "account": who.pw_name}
    told = {"port": port, "account": who.pw_name, "secret": wanted["secret"]}
    kept = {"pid": server.pid, "began": began(server.pid), "arguments": wanted["arguments"], "told": told}
    with os.fdopen(private(state), "w") as file:
        json.dump(kept, file)
    return {**told, "already_running": False}


def account() -> pwd.struct_passwd:
    """Return who the server runs as."""
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        return pwd.getpwnam(os.environ.get("SUDO_USER", "root"))


def known(state: pathlib.Path) -> dict | None:
    """Return the stored state of a server that is still running."""
    try:
        found = json.loads(state.read_text())
        return found if began(found["pid"]) == found["began"] else None
    except (OSError, ValueError, LookupError):
        return None


def began(process: int) -> str:
    """Return when a process began: its number may have been reused (proc(5), starttime)."""
    return pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]


def private(path: pathlib.Path) -> int:
    """Open a file that nobody else can read, in place of the old one."""
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)


def environment(who: pwd.struct_passwd) -> dict:
    """Return the environment of a login."""
    own = {"HOME": who.pw_dir, "USER": who.pw_name, "LOGNAME": who.pw_name, "SHELL": "/bin/bash"}
    return {**own, "PATH": os.environ["PATH"], "LANG": os.environ.get("LANG", "C.UTF-8")}


def identity(who: pwd.struct_passwd) -> dict:
    """Return the arguments of Popen by which a process becomes an account's."""
    groups = os.getgrouplist(who.pw_name, who.pw_gid)
    return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": groups, "cwd": "/"}


def as_account(who: pwd.struct_passwd, script: str, *words: str) -> subprocess.CompletedProcess:
    """Run a line in the account's login shell."""
    return subprocess.run(
        ["/bin/bash", "--login", "-c", LOGIN + script, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, errors="replace", timeout=PATIENCE, check=False,
        env=environment(who), **identity(who),
    )  # fmt: skip


def free_port(wanted: int) -> int:
    """Return a port of loopback that nothing listens on: the wanted one, or any."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return probe.getsockname()[1]
            except OSError:
                continue
    raise OSError("no port of loopback is free")


def start(who: pwd.struct_passwd, path: str, wanted: dict, port: int, log: pathlib.Path) -> subprocess.Popen:
    """Start the server in a session of its own."""
    arguments = [word.replace("PORT", str(port)) for word in wanted["arguments"]]
    given = environment(who)
    if wanted["how"] == "path":
        given["EC2_LAB_SERVE"] = json.dumps([path, *(word.replace("SECRET", wanted["secret"]) for word in arguments)])
        command = [*interpreter(path), "-c", HIDDEN]
    else:
        given[wanted["how"]] = wanted["secret"]
        command = [path, *arguments]
    out = private(log)
    try:
        return subprocess.Popen(
            ["/bin/bash", "--login", "-c", LOGIN + 'exec "$@"', "bash", *command], stdin=subprocess.DEVNULL,
            stdout=out, stderr=out, start_new_session=True, env=given, **identity(who),
        )  # fmt: skip
    finally:
        os.close(out)


def interpreter(path: str) -> list:
    """Return what runs a Python program, by its first line."""
    with pathlib.Path(path).open("rb") as file:
        first = file.readline(500).decode(errors="replace").strip()
    found = re.fullmatch(r"#!\s*(\S*python[\d.]*|/usr/bin/env python[\d.]*)", first)
    if not found:
        raise ValueError(f"{path} is not a Python program")
    return found[1].split()


def listens(server: subprocess.Popen, port: int, uid: int) -> bool:
    """Wait until the account listens on the port; False where the server ends, or takes too long."""
    until = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < until:
        if uid in listeners(port):
            return True
        time.sleep(0.1)
    return False


def listeners(port: int) -> set:
    """Return the user ids that listen on a port of loopback: another user may be quicker, and would get the secret."""
    table = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]  # proc_net_tcp.rst: address, state 0A, uid
    rows = [row.split() for row in table]
    return {int(row[7]) for row in rows if row[1] == f"0100007F:{port:04X}" and row[3] == "0A"}


if __name__ == "__main__":
    try:
        print(json.dumps(main()))
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as problem:
        sys.exit(f"ec2-lab: serve: {problem}")
