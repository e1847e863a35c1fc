"""The project's own ssh configuration: a file for each experiment, with its instances and their pinned host keys.

It lies in .ssh/ beside lab.toml, is written by launches and removed by teardowns, and turns no check off.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ec2lab.errors import UserError
from ec2lab.files import exists, private_directory, read_bytes, temp_file_beside
from ec2lab.printable import printable

OVERRIDDEN = {
    "BatchMode": "yes",
    # A program of ours runs, without a terminal, with our bytes on its standard input.
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "EscapeChar": "none",
    "PermitLocalCommand": "no",
    # Debugging is no error message, and QUIET hides the error.
    "LogLevel": "INFO",
    "VisualHostKey": "no",
    # A connection of its own: one that is shared may hang, be to another instance of the same address, or have had its
    # host key checked by other rules; and a background master keeps our standard error open.
    "ControlMaster": "no",
    "ControlPath": "none",
    # Nothing of the user's is to be reached from there, and a port that is taken here ends no call.
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "Tunnel": "no",
    "ClearAllForwardings": "yes",
    # A host that is gone is noticed within a minute.
    "ServerAliveInterval": "15",
    "ServerAliveCountMax": "3",
}
SINCE_8_7 = {"SessionType": "default", "StdinNull": "no", "ForkAfterAuthentication": "no"}
SESSION_TYPE = (8, 7)
"""https://www.openssh.com/txt/release-8.7; an older ssh knows them neither here nor in a configuration."""


def overriding(strictness: str) -> list[str]:
    """Return the arguments that win over every configuration; host keys are checked as `strictness` says."""
    return _options({**OVERRIDDEN, "StrictHostKeyChecking": strictness})


def terminal_command(config: Path, host: str, *words: str) -> list[str]:
    """Return an ssh command that runs `words` on a remote terminal. The login shell parses them: only plain words."""
    on_terminal = {"RequestTTY": "force", "EscapeChar": "~", "StrictHostKeyChecking": "yes"}
    return ["ssh", "-F", str(config), *_options({**OVERRIDDEN, **on_terminal}), "--", host, *words]


def master_command(config: Path, host: str, socket: Path) -> list[str]:
    """Return an ssh command that runs nothing, for connections that share `socket`. Nobody else's are shared."""
    alone = client_version() < SESSION_TYPE
    values = {
        **OVERRIDDEN,
        **({} if alone else {**SINCE_8_7, "SessionType": "none"}),
        "ControlMaster": "yes", "ControlPath": str(socket), "ControlPersist": "no", "StrictHostKeyChecking": "yes",
    }  # fmt: skip
    words = [word for name, value in values.items() for word in ("-o", f"{name}={value}")]
    return ["ssh", "-F", str(config), *words, *(["-N"] if alone else []), "--", host]


def _options(values: Mapping[str, str]) -> list[str]:
    """Return options as `-o` arguments, after those that reset the type of session."""
    values = {**(SINCE_8_7 if client_version() >= SESSION_TYPE else {}), **values}
    return [word for name, value in values.items() for word in ("-o", f"{name}={value}")]


@cache
def client_version() -> tuple[int, int]:
    """Return the version of the ssh that is installed here; (0, 0) where it does not say, or there is none."""
    try:
        done = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError:
        return 0, 0
    return version_in(done.stderr + done.stdout)


def version_in(output: str) -> tuple[int, int]:
    """Return the version in what `ssh -V` says; (0, 0) where there is none."""
    found = re.search(r"OpenSSH\D*(\d+)\.(\d+)", output)
    return (int(found[1]), int(found[2])) if found else (0, 0)


DIRECTORY, HOSTS, KNOWN_HOSTS, KEYS = ".ssh", "hosts", "known_hosts", "keys"
LARGEST = 16 << 20
"""Bytes: a thousand instances come to less than one."""
HOST_BLOCK = """\
Host {name}
    HostName {address}
    HostKeyAlias {alias}
{include}    UserKnownHostsFile {known_hosts}
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
    VerifyHostKeyDNS no
    NoHostAuthenticationForLocalhost no
    HashKnownHosts no
    CheckHostIP no
    PasswordAuthentication no
    KbdInteractiveAuthentication no
    ForwardAgent no
    ForwardX11 no
    ServerAliveInterval 30
"""
DEFAULTS = """\
Match all
    ConnectTimeout 15
    ServerAliveInterval 30
"""
"""Where nothing else says: a host that does not respond ends a login."""
SYSTEM = Path("/etc/ssh/ssh_config")
BLOCK = re.compile(r"^Host (\S+)\n.*\n    HostKeyAlias (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SshTarget:
    """How one instance is reached."""

    name: str
    """What ssh is told: the experiment's name, with a number where it has several instances."""
    address: str
    instance: str
    """Its id, which its host key is filed under: an address may be another instance's tomorrow."""
    region: str


@dataclass(frozen=True, slots=True)
class SshConfig:
    """The ssh files of a lab."""

    lab: Path

    @property
    def directory(self) -> Path:
        """Where they lie. Raises UserError as `expect_own` does."""
        self.expect_own()
        return self.lab / DIRECTORY

    def expect_own(self) -> None:
        """Raise UserError where that is a link, as git may bring one, or the user's own: files there are not the lab's.

        A launch asks for it before it makes anything.
        """
        own = self.lab / DIRECTORY
        for path in (own, own / HOSTS, own / KNOWN_HOSTS, own / KEYS):
            if path.is_symlink() or path == Path("~/.ssh").expanduser():
                what = "is a link" if path.is_symlink() else "is your own"
                raise UserError(
                    f"{path}: {what}, and the lab writes and deletes files there: move it, or the lab, away"
                )

    @property
    def config(self) -> Path:
        """What `ssh -F` is given: the lab's instances first, then the user's own configuration, then the system's.

        With -F ssh reads no other by itself. The first value that it finds of an option counts.
        """
        path = self.directory / "config"
        own = Path("~/.ssh/config").expanduser()
        others = [_quoted(file) for file in (own, SYSTEM) if exists(file)]
        included = "".join(f"{line}\n" for line in (self.include_line, *(f"Include {file}" for file in others)))
        _write(path, included + DEFAULTS)
        return path

    @property
    def hosts_pattern(self) -> Path:
        """The files of all experiments."""
        return self.directory / HOSTS / "*"

    @property
    def include_line(self) -> str:
        """What the user may add to ~/.ssh/config, to reach the lab's instances by name."""
        return f"Include {_quoted(self.hosts_pattern)}"

    def known_hosts(self, experiment: str) -> Path:
        """Return where the host keys of an experiment's instances are pinned."""
        return self.directory / KNOWN_HOSTS / experiment

    def names(self, experiment: str) -> dict[str, str]:
        """Return the names that an experiment's instances have, by their ids."""
        return {alias: name for name, alias in BLOCK.findall(_text(self.directory / HOSTS / experiment))}

    def experiment_of(self, name: str) -> str | None:
        """Return the experiment that has an instance of that name on file."""
        files = [path.name for path in self.hosts_pattern.parent.glob("*") if not path.name.startswith(".")]
        return next((experiment for experiment in files if name in self.names(experiment).values()), None)

    def instance_of(self, name: str) -> str | None:
        """Return the id of the instance of that name, if one is on file."""
        names = self.names(self.experiment_of(name) or name)
        return next((instance for instance, of in names.items() if of == name), None)

    def write(
        self,
        experiment: str,
        instances: Sequence[SshTarget],
        user: str | None,
        identities: Sequence[Path] = (),
        include: Path | None = None,
    ) -> None:
        """Write an experiment's instances, in place of those that were there, and the keys that open them for
        `user`.
        """  # noqa: D205
        known_hosts = _quoted(self.known_hosts(experiment))
        first = f"    Include {_quoted(include)}\n" if include else ""
        more = [f"User {user}"] if user else []
        # These and those of the user's own configuration, no others: sshd hangs up after six that it does not know.
        more += ["IdentitiesOnly yes", *(f"IdentityFile {_quoted(path)}" for path in identities)] if identities else []
        more += ["KnownHostsCommand none"] if client_version() >= (8, 5) else []  # which older ones do not know
        blocks = [
            HOST_BLOCK.format(name=m.name, address=m.address, alias=m.instance, known_hosts=known_hosts, include=first)
            + "".join(f"    {line}\n" for line in more)
            for m in instances
        ]
        _write(self.directory / HOSTS / experiment, "\n".join(blocks))

    def public_half(self, key: str) -> Path:
        """Return a file with a public key: where ssh has that alone, it asks the agent for the private one."""
        name = hashlib.sha256(key.split()[1].encode()).hexdigest()[:16]
        path = self.directory / KEYS / f"{name}.pub"
        _write(path, f"{key}\n")
        return path

    def pin(self, experiment: str, instance: str, keys: Sequence[str]) -> None:
        """File an instance's host keys, each "ssh-ed25519 AAAA…", in place of those that it had."""
        path = self.known_hosts(experiment)
        others = [line for line in _lines(path) if line.split(" ", 1)[0] != instance]
        _write(path, "".join(f"{line}\n" for line in [*others, *(f"{instance} {key}" for key in keys)]))

    def pinned(self, experiment: str, instance: str) -> list[str]:
        """Return the host keys that are on file for an instance."""
        named = (line.split(" ", 1) for line in _lines(self.known_hosts(experiment)))
        return [key for name, key in named if name == instance]

    def remove(self, experiment: str) -> None:
        """Forget an experiment's instances."""
        for path in (self.directory / HOSTS / experiment, self.known_hosts(experiment)):
            path.unlink(missing_ok=True)


def _lines(path: Path) -> list[str]:
    return [line for line in _text(path).splitlines() if " " in line]


def _text(path: Path) -> str:
    """Return what is in a file; nothing where there is none. Raises UserError."""
    if not exists(path):
        return ""
    try:
        return read_bytes(path, LARGEST).decode()
    except (OSError, UnicodeDecodeError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else "it is no text"
        raise UserError(f"{path}: can't be read: {why}; delete it, and it is written again") from problem


def _write(path: Path, text: str) -> None:
    """Write a file as a whole, for nobody else's eyes."""
    if exists(path) and _text(path) == text:  # ssh makes no directory for the first host key, so an empty file counts
        return
    try:
        private_directory(path.parent, top=next(p for p in path.parents if p.name == DIRECTORY))
        with temp_file_beside(path, text.encode(), mode=0o600) as draft:
            draft.replace(path)
    except OSError as problem:
        raise UserError(
            f"{path}: can't be written ({problem.strerror}); free some space or change its permissions"
        ) from problem


def can_name(path: Path) -> bool:
    """Say whether ssh's configuration has a way to write a path."""
    return not re.search(r'[\x00-\x1f\x7f"\\\ud800-\udfff]|\$\{', str(path))


def _quoted(path: Path) -> str:
    """Return a path as ssh's configuration takes it (ssh_config(5): TOKENS, ENVIRONMENT VARIABLES)."""
    if not can_name(path):
        without = "quotes, backslashes, control characters or ${"
        shown = printable(str(path))
        raise UserError(f"{shown}: ssh's configuration can't name such a path; move the lab to one without {without}")
    return f'"{str(path).replace("%", "%%")}"'
