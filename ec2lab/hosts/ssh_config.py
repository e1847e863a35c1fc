"""The lab's own ssh configuration: a file per experiment, with its instances and their pinned host keys.

It is in .ssh/ next to lab.toml, written by launches and removed by teardowns, and weakens no check.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ec2lab.errors import UserError
from ec2lab.files import exists, private_directory, read_bytes, temp_file_beside
from ec2lab.hosts.ssh_options import client_version
from ec2lab.printable import printable

DIRECTORY, HOSTS, KNOWN_HOSTS, KEYS = ".ssh", "hosts", "known_hosts", "keys"
LARGEST = 16 << 20  # bytes: a thousand instances take less than one MiB
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
"""Unless configured elsewhere: a host that does not respond ends a login."""
SYSTEM = Path("/etc/ssh/ssh_config")
BLOCK = re.compile(r"^Host (\S+)\n.*\n    HostKeyAlias (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SshTarget:
    name: str  # its name for ssh: the experiment's name, with a number if there are several instances
    address: str
    instance: str  # its id, which its host key is filed under: the address may be another instance's tomorrow
    region: str


@dataclass(frozen=True, slots=True)
class SshConfig:
    lab: Path

    @property
    def directory(self) -> Path:
        self.expect_own()
        return self.lab / DIRECTORY

    def expect_own(self) -> None:
        """Raise UserError where it is a link, as git may create one, or the user's own: files there are not the lab's.

        A launch checks this before it creates anything.
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
        """The file for `ssh -F`: the lab's instances first, then the user's own configuration, then the system's.

        With -F ssh reads no other file on its own. The first value of an option counts.
        """
        path = self.directory / "config"
        own = Path("~/.ssh/config").expanduser()
        others = [_quoted(file) for file in (own, SYSTEM) if exists(file)]
        included = "".join(f"{line}\n" for line in (self.include_line, *(f"Include {file}" for file in others)))
        _write(path, included + DEFAULTS)
        return path

    @property
    def hosts_pattern(self) -> Path:
        return self.directory / HOSTS / "*"

    @property
    def include_line(self) -> str:
        """The line for ~/.ssh/config with which plain ssh knows the lab's instances by name."""
        return f"Include {_quoted(self.hosts_pattern)}"

    def known_hosts(self, experiment: str) -> Path:
        return self.directory / KNOWN_HOSTS / experiment

    def names(self, experiment: str) -> dict[str, str]:
        return {alias: name for name, alias in BLOCK.findall(_text(self.directory / HOSTS / experiment))}

    def experiment_of(self, name: str) -> str | None:
        files = [path.name for path in self.hosts_pattern.parent.glob("*") if not path.name.startswith(".")]
        return next((experiment for experiment in files if name in self.names(experiment).values()), None)

    def instance_of(self, name: str) -> str | None:
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
        known_hosts = _quoted(self.known_hosts(experiment))
        first = f"    Include {_quoted(include)}\n" if include else ""
        more = [f"User {user}"] if user else []
        # Only these and those of the user's own configuration: sshd disconnects after six unknown keys.
        more += ["IdentitiesOnly yes", *(f"IdentityFile {_quoted(path)}" for path in identities)] if identities else []
        more += ["KnownHostsCommand none"] if client_version() >= (8, 5) else []  # unknown to older versions
        blocks = [
            HOST_BLOCK.format(name=m.name, address=m.address, alias=m.instance, known_hosts=known_hosts, include=first)
            + "".join(f"    {line}\n" for line in more)
            for m in instances
        ]
        _write(self.directory / HOSTS / experiment, "\n".join(blocks))

    def public_half(self, key: str) -> Path:
        """Return a file with a public key: given only that, ssh asks the agent for the private one."""
        name = hashlib.sha256(key.split()[1].encode()).hexdigest()[:16]
        path = self.directory / KEYS / f"{name}.pub"
        _write(path, f"{key}\n")
        return path

    def pin(self, experiment: str, instance: str, keys: Sequence[str]) -> None:
        """Pin an instance's host keys, each "ssh-ed25519 AAAA…", replacing the previous ones."""
        path = self.known_hosts(experiment)
        others = [line for line in _lines(path) if line.split(" ", 1)[0] != instance]
        _write(path, "".join(f"{line}\n" for line in [*others, *(f"{instance} {key}" for key in keys)]))

    def pinned(self, experiment: str, instance: str) -> list[str]:
        named = (line.split(" ", 1) for line in _lines(self.known_hosts(experiment)))
        return [key for name, key in named if name == instance]

    def remove(self, experiment: str) -> None:
        for path in (self.directory / HOSTS / experiment, self.known_hosts(experiment)):
            path.unlink(missing_ok=True)


def _lines(path: Path) -> list[str]:
    return [line for line in _text(path).splitlines() if " " in line]


def _text(path: Path) -> str:
    if not exists(path):
        return ""
    try:
        return read_bytes(path, LARGEST).decode()
    except (OSError, UnicodeDecodeError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else "it is no text"
        raise UserError(f"{path}: can't be read: {why}; delete it, and it is written again") from problem


def _write(path: Path, text: str) -> None:
    """Replace a file, readable only by its owner."""
    if exists(path) and _text(path) == text:  # ssh creates no directory for the first host key, so an empty file counts
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
    return not re.search(r'[\x00-\x1f\x7f"\\\ud800-\udfff]|\$\{', str(path))


def _quoted(path: Path) -> str:
    """Quote a path for ssh's configuration (ssh_config(5): TOKENS, ENVIRONMENT VARIABLES)."""
    if not can_name(path):
        without = "quotes, backslashes, control characters or ${"
        shown = printable(str(path))
        raise UserError(f"{shown}: ssh's configuration can't name such a path; move the lab to one without {without}")
    return f'"{str(path).replace("%", "%%")}"'
