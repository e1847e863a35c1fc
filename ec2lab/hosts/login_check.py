"""Whether ssh has a key here that opens a member's account; checked before anybody waits for a login."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ec2lab.config.lab_files import load_members
from ec2lab.config.public_key import fingerprint
from ec2lab.hosts.inventory import login_name
from ec2lab.hosts.own_keys import KeyFile, agent_fingerprints, key_files, own_key_files
from ec2lab.hosts.reachability import Settings, ssh_settings
from ec2lab.hosts.ssh_config import SshConfig
from ec2lab.session import Session

UNSEEN = ("pkcs11provider", "proxycommand")
"""Settings that may provide keys, or access (EC2 Instance Connect), which ssh does not list."""


@dataclass(frozen=True, slots=True)
class KeysHere:
    """What ssh can log in with: fingerprints in the agent, and key files."""

    in_agent: frozenset[str]
    files: Sequence[KeyFile]
    has_passphrases: bool = False  # whether somebody, or macOS's keychain, can provide passphrases

    def fault(self, member: str, wanted: set[str]) -> str:
        """Return why none of a member's keys, given by fingerprint, can be used; empty where one can."""
        if wanted & self.in_agent:
            return ""
        files = [one for one in self.files if one.fingerprint in wanted]
        if any(not one.fault or (self.has_passphrases and not one.is_open) for one in files):
            return ""
        if files:
            return f"{member}'s key {files[0].path} {files[0].fault}"
        return f"no private key of {member}'s is here, neither in ~/.ssh nor in the agent (members/{member}.toml)"


def lacks_key(session: Session, host: str, *, asks: bool = False) -> str:
    """Return why nobody can log in from here; empty where somebody may. `asks`: ssh may ask for a passphrase."""
    member = login_name(session.directory)
    here = keys_here(SshConfig(session.directory).config, host) if member else None
    if not member or not here:
        return ""
    here = replace(here, has_passphrases=asks or here.has_passphrases)
    fault = here.fault(member, set(map(fingerprint, load_members(session.directory)[member].keys)))
    other = _whose_is_here(session.directory, here) if fault else ""
    return f"{fault}; the key here is {other}'s: MEMBER={other} says that you are" if other else fault


def not_a_member(session: Session) -> str:
    here = keys_here(SshConfig(session.directory).config, "localhost")
    who = _whose_is_here(session.directory, here) if here else ""
    says = f"the key here is {who}'s: MEMBER={who} says that you are" if who else "MEMBER=name says who is"
    return f"nobody here is a member (members/); {says}"


def _whose_is_here(directory: Path, here: KeysHere) -> str:
    wanted = {name: set(map(fingerprint, one.keys)) for name, one in load_members(directory).items()}
    return next((name for name in wanted if not here.fault(name, wanted[name])), "")


def keys_here(config: Path, host: str) -> KeysHere | None:
    """Return ssh's keys for a host; None where it may have others that are not visible."""
    settings = ssh_settings(config, host)
    agent = _agent(settings)
    if not settings or agent is None or any(settings.get(unseen, ["none"]) != ["none"] for unseen in UNSEEN):
        return None
    named = [Path(path.replace("%%", "%")).expanduser() for path in settings.get("identityfile", ())]
    in_agent = () if agent == "none" else agent_fingerprints(agent)
    return KeysHere(
        frozenset(in_agent), [*own_key_files(), *key_files(named)], settings.get("usekeychain") == ["yes"]
    )  # fmt: skip


def _agent(settings: Settings) -> str | None:
    """Return the socket of ssh's agent: empty for the default one, "none", or None where it cannot be determined."""
    named = settings.get("identityagent", ["SSH_AUTH_SOCK"])[0]
    if named in ("SSH_AUTH_SOCK", "none"):
        return named.replace("SSH_AUTH_SOCK", "")
    path = os.environ.get(named.strip("${}"), "") if named.startswith("$") else named
    return None if "%" in path else str(Path(path).expanduser())
