"""An instance as the host programs see it: a Debian root of its own, in namespaces, with a real sshd on loopback."""

import json
import os
import shlex
import socket
import subprocess
from pathlib import Path

from ec2lab.hosts.program_packer import sent, with_modules
from tests.waiting import wait_until

BEGIN = """
set -e
mount -t tmpfs -o mode=0755 host "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" host "$2/root"
mount --rbind /dev "$2/root/dev"
mount --rbind /sys "$2/root/sys"
mount -t proc proc "$2/root/proc"
mount -t tmpfs -o mode=0755 run "$2/root/run"
mkdir -p "$2/root/run/sshd" "$2/root/run/lock"
exec chroot "$2/root" /bin/bash -c 'echo ready; sleep infinity & wait'
"""
"""bash is process 1 there: it waits for what other processes leave behind, as init does."""

PROGRAMS = {name: f"{name}.py" for name in ("accounts", "mount-volumes", "sshd-hardening")}
QUICK = "KexAlgorithms=curve25519-sha256"
"""An option of ssh: what it would choose takes more than half of the time of a login."""
SSHD_LOG = "/var/log/sshd.log"
PATIENCE = 20
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}


class Host:
    """A running instance; what it writes is gone when it stops."""

    def __init__(self, debian: Path, directory: Path):
        """Start it from a Debian root, which is only read."""
        self.directory, self.root = directory, directory / "root"
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation=private"]
        self.process = subprocess.Popen(
            [*unshare, "sh", "-c", BEGIN, "sh", debian, directory], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        if self.process.stdout.readline() != b"ready\n":
            raise RuntimeError("the instance did not start; what it said stands above")
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.first = int(children.read_text().split()[0])
        self.port = 0
        for name, template in PROGRAMS.items():
            self.write(f"/opt/ec2-lab/{name}", sent(template), mode=0o755)
        over_ssh = with_modules("volumes-over-ssh.py", "mount-volumes.py")
        self.write("/opt/ec2-lab/volumes-over-ssh", f"#!/usr/bin/python3 -I\n{over_ssh}", mode=0o755)

    def stop(self) -> None:
        """End everything that runs there."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def path(self, inside: str) -> Path:
        """Where a file of the instance is seen from outside."""
        return Path(f"/proc/{self.first}/root") / inside.lstrip("/")

    def write(self, inside: str, text: str, mode: int = 0o644) -> None:
        """Write a file of the instance's as root."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def run(self, *command: str, text: str = "", check: bool = True, **environment: str) -> subprocess.CompletedProcess:
        """Run a command there as root."""
        enter = ["nsenter", f"--target={self.first}", "--mount", "--pid", "--root", "--wd=/"]
        return subprocess.run(
            [*enter, *command],
            input=text,
            env={**ENVIRONMENT, **environment},
            capture_output=True,
            text=True,
            check=check,
            timeout=60,
        )

    def run_outside(self, *command: str) -> None:
        """Run a command of this computer's that is to work on the other's files, below `root`."""
        subprocess.run(["nsenter", f"--target={self.first}", "--mount", *command], check=True, timeout=60)

    def as_user(self, name: str, script: str) -> None:
        """Run a shell script there as a user."""
        self.run("setpriv", f"--reuid={name}", f"--regid={name}", "--init-groups", "sh", "-ec", script)

    def state(self) -> str:
        """Everything about files and accounts that a program could change."""
        return self.run(
            "sh", "-ec", "cat /etc/shadow /etc/group; ls -lanR --time-style=full-iso /etc /home /opt /root"
        ).stdout

    # The programs

    def accounts(self, document: dict | str, *options: str, **environment: str) -> "Told":
        """Bring the instance's accounts to a document given on standard input."""
        text = document if isinstance(document, str) else json.dumps(document)
        return Told(self.run("/opt/ec2-lab/accounts", *options, "-", text=text, check=False, **environment))

    def harden(self, *arguments: str) -> "Told":
        """Run sshd-hardening."""
        return Told(self.run("/opt/ec2-lab/sshd-hardening", *arguments, check=False))

    # Logging in

    def start_sshd(self, *options: str) -> None:
        """Start sshd at a free port of 127.0.0.1, and pin its key."""
        running, log = self.path("/run/sshd.pid"), self.path(SSHD_LOG)
        while not running.exists():
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            log.write_text("")
            self.run("/usr/sbin/sshd", "-p", str(self.port), "-o", "ListenAddress=127.0.0.1", "-E", SSHD_LOG, *options)
            # It writes its process id once it listens; another process may have taken the port meanwhile.
            if not holds_within(PATIENCE, lambda: running.exists() or "Cannot bind" in log.read_text()):
                raise RuntimeError(f"sshd did not start: {log.read_text()}")
        key = self.path("/etc/ssh/ssh_host_ed25519_key.pub").read_text()
        (self.directory.parent / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {key}")

    def ssh(self, user: str, *command: str, key: Path | None = None, password: str | None = None) -> "Login":
        """Log in with a key or a password, as a fresh client would, and run a command."""
        environment = {**os.environ, **self.asking(password or "")}
        line = [*self.ssh_line(user, key, password), shlex.join(command)]
        return Login(subprocess.run(line, env=environment, capture_output=True, text=True, check=False, timeout=60))

    def dialogue(self, user: str, key: Path) -> "Dialogue":
        """Log in with a key on a terminal there."""
        return Dialogue([*self.ssh_line(user, key), "-tt"])

    def ssh_line(self, user: str, key: Path | None, password: str | None = None) -> list[str]:
        """Return the command that logs in, without what shall run."""
        options = {
            "UserKnownHostsFile": self.directory.parent / "known_hosts",
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "IdentityFile": key or "none",
            "ConnectTimeout": "10",
            "ConnectionAttempts": "5",  # sshd does not listen for a moment while it reloads
            "NumberOfPasswordPrompts": "1",
            "PreferredAuthentications": "publickey" if password is None else "password,keyboard-interactive",
            "BatchMode": "yes" if password is None else "no",
        }
        settings = [f"-o{name}={value}" for name, value in options.items()]
        return ["ssh", "-F/dev/null", f"-o{QUICK}", *settings, f"-p{self.port}", f"{user}@127.0.0.1"]

    def asking(self, password: str) -> dict[str, str]:
        """The environment in which ssh gets its password from a program."""
        program = self.directory.parent / "askpass"
        program.write_text('#!/bin/sh\nprintf "%s\\n" "$ANSWER"\n')
        program.chmod(0o700)
        return {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force", "ANSWER": password, "DISPLAY": "none"}


class Told:
    """What a host program printed."""

    def __init__(self, done: subprocess.CompletedProcess):
        """Read it: JSON objects, a line each, the last one the summary."""
        self.code = done.returncode
        self.text = done.stdout + done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if not lines:
            raise AssertionError(self.text)
        *self.lines, self.summary = lines

    @property
    def changes(self) -> list[tuple]:
        """(member, change, detail) of each line."""
        return [(line.get("member"), line["change"], line["detail"]) for line in self.lines]

    def of(self, member: str | None) -> list[str]:
        """The changes of one member."""
        return [change for name, change, _ in self.changes if name == member]

    def detail(self, member: str | None, change: str) -> str:
        """The detail of a member's one change of a kind."""
        (detail,) = [d for name, c, d in self.changes if (name, c) == (member, change)]
        return detail


class Login:
    """How a login went."""

    def __init__(self, done: subprocess.CompletedProcess):
        """Tell a refused login (ssh's own 255) from a command's failure."""
        self.worked = done.returncode == 0
        self.refused = done.returncode == 255 and "Permission denied" in done.stderr
        self.output = done.stdout
        self.text = done.stdout + done.stderr


class Dialogue:
    """A login that asks questions."""

    def __init__(self, line: list[str]):
        """Begin it."""
        self.process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
        )

    def answer(self, question: str, answer: str) -> None:
        """Wait for a question and answer it."""
        heard = b""
        while question.encode() not in heard:
            piece = self.process.stdout.read(1)
            if not piece:
                raise AssertionError(heard.decode(errors="replace"))
            heard += piece
        self.process.stdin.write(answer.encode() + b"\n")

    def rest(self) -> str:
        """Return what else is said until it ends."""
        return self.process.communicate(timeout=PATIENCE)[0].decode(errors="replace")


def holds_within(seconds: float, condition) -> bool:
    """Wait until a condition holds; False if it does not in time."""
    return bool(wait_until(condition, seconds))
