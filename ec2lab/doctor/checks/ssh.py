"""Checks of ssh: the client and the keys here, and whether the security groups admit this computer's address."""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from shlex import quote
from typing import Literal

from ec2lab.config.public_key import fingerprint
from ec2lab.doctor.check import Check, Probe, Requirement
from ec2lab.doctor.context import DoctorContext
from ec2lab.doctor.regions import caller_address, sample_resource_ids, shared_groups
from ec2lab.doctor.runner import collect
from ec2lab.files import exists
from ec2lab.findings import Finding, error, ok, warning
from ec2lab.hosts.own_keys import agent_fingerprints, output_of, own_key_files
from ec2lab.hosts.ssh_config import SshConfig
from ec2lab.launch.parts.network import allow_current_ip, ssh_cidrs
from ec2lab.login_names import valid_login
from ec2lab.registry.record import local_user
from ec2lab.session import Session

OLDEST = (7, 6)  # the first with StrictHostKeyChecking=accept-new (https://www.openssh.com/txt/release-7.6)
OTHERS_WRITE, OTHERS_AT_ALL = stat.S_IWGRP | stat.S_IWOTH, stat.S_IRWXG | stat.S_IRWXO

CLIENT = ok("ssh-client", "{versions}")
NO_CLIENT = error("no-ssh", "ssh is not installed", "install the OpenSSH client")
CLIENT_OLD = error("ssh-outdated", "{versions} is older than 7.6", "install a newer OpenSSH")
KEY_FOUND = ok("key-found", "{member}'s key {key} is {where}")
NO_KEY = warning(
    "key-not-here", "none of the keys in members/{member}.toml is in the agent or in ~/.ssh",
    "`ssh-add` the private key, or add this computer's: `make user-add NAME={member} KEY=~/.ssh/id_ed25519.pub`",
)  # fmt: skip
KEY_LOCKED = warning(
    "key-locked", "{member}'s key {path} has a passphrase, and is not in the agent", "`ssh-add {path}`"
)
NOT_A_MEMBER = warning(
    "not-a-member", "{user} has no file in members/, so `make ssh` has no member to log in as",
    "set MEMBER=… to a member; `make user-add NAME={login}` adds you",
)  # fmt: skip
NO_SUCH_MEMBER = error("no-such-member", "MEMBER: {user!r} has no file in members/", "set MEMBER to a member")
REFUSED_BY_SSH = error("refused-by-ssh", "others may {may} {path}, so ssh refuses it", "`chmod 600 {path}`")
WRITABLE_BY_OTHERS = warning(
    "open-to-others", "others may write to {path}, and could redirect ssh", "`chmod go-w {path}`"
)
STALE_INCLUDE = warning(
    "stale-include", "~/.ssh/config includes {path}, which does not exist",
    "remove the line, or use this lab's: `{line}`",
)  # fmt: skip
INCLUDED = ok("ssh-included", "~/.ssh/config includes the lab's instances: plain `ssh NAME` works too")


class Ssh(Check):
    """What would break `make ssh` on this computer."""

    name = "ssh"
    order = 30

    def run(self, lab: DoctorContext) -> Iterator[Finding]:
        if not shutil.which("ssh"):
            yield NO_CLIENT.of()
            return
        yield _client()
        yield from self._keys(lab)
        yield from _permissions(SshConfig(lab.directory))
        yield from _includes(SshConfig(lab.directory))

    def _keys(self, lab: DoctorContext) -> Iterator[Finding]:
        named = os.environ.get("MEMBER")
        user = named or local_user()
        if user in lab.members:
            yield _key_of(user, [fingerprint(key) for key in lab.members[user].keys])
        elif named:
            yield NO_SUCH_MEMBER.of(user=user)
        elif lab.members:
            yield NOT_A_MEMBER.of(user=user, login=_as_member(user))


def _as_member(user: str) -> str:
    """Return the name that a user can have as a member; … where it can't be his own."""
    try:
        return valid_login(user)
    except ValueError:
        return "…"


def _key_of(member: str, wanted: list[str]) -> Finding:
    files = {one.fingerprint: one for one in own_key_files() if one.fingerprint in wanted}
    agents = {one: "in the agent" for one in agent_fingerprints() if one in wanted}
    places = agents or {one: "in ~/.ssh" for one, file in files.items() if not file.is_locked}
    if places:
        key = min(places)
        return KEY_FOUND.of(member=member, key=key, where=places[key])
    if locked := next(iter(files.values()), None):
        return KEY_LOCKED.of(member=member, path=_short(locked.path))
    return NO_KEY.of(member=member)


def _client() -> Finding:
    output = output_of("ssh", "-V")
    found = re.search(r"OpenSSH\D*(\d+)\.(\d+)", output)
    old = found and (int(found[1]), int(found[2])) < OLDEST
    name = output.partition(",")[0].strip() or "ssh, of unknown version"
    return (CLIENT_OLD if old else CLIENT).of(versions=name)


def _permissions(files: SshConfig) -> Iterator[Finding]:
    # ssh uses no private key that others may read, and no configuration that others may write (ssh(1), FILES).
    keys = [path.with_suffix("") for path in sorted(_own().glob("*.pub"))]
    yield from (REFUSED_BY_SSH.of(path=_short(one), may="read") for one in keys if _is_writable_by(one, OTHERS_AT_ALL))
    if _is_writable_by(_own() / "config", OTHERS_WRITE):
        yield REFUSED_BY_SSH.of(path="~/.ssh/config", may="write to")
    ours = [_own(), files.directory, *sorted(files.directory.glob("*")), *sorted(files.directory.glob("*/*"))]
    yield from (WRITABLE_BY_OTHERS.of(path=_short(path)) for path in ours if _is_writable_by(path, OTHERS_WRITE))


def _is_writable_by(path: Path, others: int) -> bool:
    return exists(path) and bool(path.stat().st_mode & others)


def _includes(files: SshConfig) -> Iterator[Finding]:
    config = _own() / "config"
    text = config.read_text(errors="replace") if config.is_file() else ""
    for path in re.findall(r'^\s*Include\s+"?([^"\n]*/\.ssh/hosts/\*)"?\s*$', text, re.MULTILINE | re.IGNORECASE):
        hosts = Path(path).expanduser().parent
        if hosts == files.hosts_pattern.parent:
            yield INCLUDED.of()
        elif not hosts.is_dir():
            yield STALE_INCLUDE.of(path=path, line=files.include_line)


def _own() -> Path:
    return Path("~/.ssh").expanduser()


def _short(path: Path) -> str:
    home = Path.home()
    return f"~/{quote(str(path.relative_to(home)))}" if path.is_relative_to(home) else quote(str(path))


ADMITTED = ok("address-allowed", "ssh from {address} is allowed in {subjects}")
NO_GROUP_YET = ok("no-group-yet", "{subjects}: no security group yet; the first launch creates it")
NOT_ADMITTED = error(
    "address-not-allowed", "ssh from {address} is not allowed by {group} in {subjects}: it hangs",
    "the next launch in that region allows it; for running instances, `make doctor FIX=1` does",
)  # fmt: skip
ADMITTED_ON_NEXT_LAUNCH = ok(
    "address-allowed-on-next-launch",
    "no instance of the lab is running in {subjects}; the next launch there allows ssh from {address}",
)  # fmt: skip
NOT_IN_LIST = warning(
    "address-not-in-list", "this computer's {address} is not in ssh_allowed_cidrs in lab.toml",
    "connect from a network that is (a VPN), or add it to ssh_allowed_cidrs and run `make doctor FIX=1` for "
    "running instances",
)  # fmt: skip


class Address(Check):
    """The lab's group of each region."""

    name = "ssh-ingress"
    order = 63
    needs = Requirement.AWS
    facts = (shared_groups, sample_resource_ids)

    def probes(self, lab: DoctorContext) -> Iterable[Probe]:
        lab.begin(caller_address)
        return super().probes(lab)

    def run(self, lab: DoctorContext) -> Iterator[Finding]:
        address = lab.begin(caller_address).result()
        ssh_allowed_cidrs = lab.lab.network.ssh_allowed_cidrs
        if not _contains_address(ssh_allowed_cidrs, address):
            yield NOT_IN_LIST.of(address=_bare(address))
            return
        facts, failures = collect(lab.begin_everywhere(shared_groups))
        yield from failures
        for region, groups in facts.items():
            if not groups:
                yield NO_GROUP_YET.of(region)
            for group in groups:
                if _contains_address(list(ssh_cidrs(group)), address):
                    yield ADMITTED.of(region, address=_bare(address))
                elif "instance" in lab.begin(sample_resource_ids, region).result():
                    yield NOT_ADMITTED.of(region, address=_bare(address), group=group["GroupId"])
                else:
                    yield ADMITTED_ON_NEXT_LAUNCH.of(region, address=_bare(address))

    def fix(self, session: Session, finding: Finding) -> Iterator[str]:
        if finding.diagnosis is NOT_ADMITTED:
            for region in finding.subjects:
                yield from (f"ssh is admitted from {added}, {region}" for added in allow_current_ip(session, region))


def _contains_address(networks: Literal["auto"] | list[str], address: str) -> bool:
    """Say whether a network contains an address; `auto` is the address itself."""
    if networks == "auto":
        return True
    own = ipaddress.ip_network(address)
    return any(
        own.version == there.version and own.subnet_of(there)  # type: ignore[arg-type]  # of one version
        for there in map(ipaddress.ip_network, networks)
    )


def _bare(network: str) -> str:
    return network.partition("/")[0]
