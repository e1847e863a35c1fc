"""Answer ssh in place of an instance: a stand-in on this computer, which is no virtual machine and isolates nothing.

ssh runs this file as its ProxyCommand (`client_config`). It becomes an `sshd -i`, so no port is opened. A session runs
as the user who started ssh, with no more rights, in a home directory of its own below `.local-cloud/instances/`. A
watcher ends all of it with the instance, or with the local cloud.

The environment variable EC2_LAB_STAND_IN marks the processes. ec2-lab runs nothing as root where it is set
(ec2lab/hosts/protocol.py). Run as a file, with the standard library alone.
"""

from __future__ import annotations

import json
import os
import pwd
import select
import shlex
import shutil
import signal
import sys
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

ADDRESS_FILE = "server.json"
USER_KEY = "ssh_key"
MARK = "EC2_LAB_STAND_IN"
POLL = 1.0  # seconds between looks at the instance
TIMEOUT = 10.0
PROC = Path("/proc")
SBIN = "/usr/local/sbin:/usr/sbin:/sbin:/usr/libexec"  # where sshd is: not on every user's PATH
PRIVILEGE_SEPARATION = Path("/run/sshd")  # sshd started by root requires it, and only a service manager creates it
CLIENT = """\
# Written by the local cloud. Its instances do not run: stand-ins on this computer answer ssh.
Match host "127.*,!127.0.0.1"
    User {user}
    ProxyCommand {command} %h
    IdentityFile "{key}"
    IdentitiesOnly yes
    IdentityAgent none
"""
SERVER = """\
HostKey "{base}/host_key"
AuthorizedKeysFile "{tokens}/authorized_keys"
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PermitUserRC no
AllowAgentForwarding no
X11Forwarding no
PrintMotd no
PrintLastLog no
PidFile none
LogLevel QUIET
Banner "{base}/banner"
SetEnv "HOME={base}/home" "SHELL={shell}" "{mark}={instance}"
ForceCommand /bin/sh {session}
"""
SESSION = """\
cd "$HOME" || exit
test -n "$SSH_ORIGINAL_COMMAND" || exec "$SHELL" -l
exec "$SHELL" -c "$SSH_ORIGINAL_COMMAND"
"""
BANNER = "A stand-in for {instance} on this computer, in {base}/home: you are {user} here, and nothing is isolated.\n"


def sshd() -> str | None:
    """Return the path of this computer's sshd, if it can run a session of this user."""
    no_shell = pwd.getpwuid(os.getuid()).pw_shell.endswith(("nologin", "false"))
    return None if no_shell else shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:{SBIN}")


def client_config(directory: Path) -> str:
    """Return the ssh configuration by which the addresses of instances lead to stand-ins."""
    words = [sys.executable, "-I", str(Path(__file__).resolve()), str(directory)]
    command = " ".join(map(shlex.quote, words)).replace("%", "%%")
    return CLIENT.format(user=_user(), command=command, key=_in_ssh(directory / USER_KEY))


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def _in_ssh(path: Path) -> str:
    return str(path).replace("%", "%%")


def ask(directory: Path, address: str) -> dict[str, Any] | None:
    """Return what the local cloud knows of the instance with an address; None if there is no local cloud any more."""
    try:
        server = json.loads((directory / ADDRESS_FILE).read_text())
        request = urllib.request.Request(  # noqa: S310 - the local cloud's own address
            f"{server['url']}/lab/ssh", json.dumps({"address": address}).encode(),
            {"Authorization": f"Bearer {server['secret']}"},
        )  # fmt: skip
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=TIMEOUT) as response:
            found: dict[str, Any] = json.load(response)
            return found
    except urllib.error.HTTPError as refused:
        with suppress(ValueError, AttributeError):  # by now its port may be another program's
            return {"instance": "", "state": str(json.load(refused).get("error"))}
        return None
    except (OSError, ValueError):
        return None


def prepare(directory: Path, told: dict[str, Any]) -> Path:
    """Create the files of an instance's stand-in and return sshd's configuration. Delete those of terminated ones."""
    everything = directory / "instances"
    base = everything / str(told["instance"])
    for made in (everything, base):
        made.mkdir(mode=0o700, exist_ok=True)
    for left in everything.iterdir():
        if left.name not in told["instances"]:
            shutil.rmtree(left, ignore_errors=True)
    (base / "home").mkdir(mode=0o700, parents=True, exist_ok=True)
    shell = next(shell for shell in ("/bin/bash", "/bin/sh") if Path(shell).exists())
    files = {
        "host_key": told["host_key"],
        "authorized_keys": (directory / f"{USER_KEY}.pub").read_text(),
        "banner": BANNER.format(base=base, user=_user(), instance=told["instance"]),
        "session": SESSION,
        "sshd_config": SERVER.format(
            base=base, tokens=_in_ssh(base), shell=shell, mark=MARK, instance=told["instance"],
            session=shlex.quote(str(base / "session")),
        ),
    }  # fmt: skip
    for name, text in files.items():
        draft = base / f".{name}.{os.getpid()}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w") as file:
            file.write(text)
        draft.replace(base / name)
    return base / "sshd_config"


def watch(directory: Path, address: str, instance: str) -> None:
    """Start a process that ends this one, and what its sessions leave, with the instance."""
    server = os.getpid()
    if os.fork():
        return
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    while processes := [*_alive(server), *_marked(instance)]:
        told = ask(directory, address)
        if not told or (told["instance"], told["state"]) != (instance, "running"):
            for process in processes:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(process, signal.SIGKILL)
        select.select([], [], [], POLL)  # a process of its own, in real time
    os._exit(0)


def _alive(server: int) -> list[int]:
    """Return sshd, this process's parent, if it still runs: once it has ended, its number may be anybody's."""
    return [server] if os.getppid() == server else []


def _marked(instance: str) -> list[int]:
    """Return the processes of an instance's sessions; where there is no /proc, sshd's end is theirs."""
    mark, found = f"{MARK}={instance}\0".encode(), []
    for entry in PROC.glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in entry.read_bytes() and entry.parent.name != str(os.getpid()):
                found.append(int(entry.parent.name))
    return found


def main(directory: Path, address: str) -> None:
    """Become the sshd of the instance with an address."""
    told, program = ask(directory, address), sshd()
    if told is None:
        sys.exit("the local cloud does not run any more")
    if told["state"] != "running" or program is None:
        sys.exit(f"{told['instance'] or address}: {told['state']}")
    config = prepare(directory, told)
    if os.geteuid() == 0:
        PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    watch(directory, address, told["instance"])
    os.execv(program, [program, "-i", "-f", str(config)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
