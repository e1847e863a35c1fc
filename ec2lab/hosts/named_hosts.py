"""The hosts that EXP and HOST name: an experiment's instances, or hosts of the user's own ssh configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Any

from ec2lab import clock
from ec2lab.config.lab_files import experiment_files
from ec2lab.console import complain, warn
from ec2lab.context import working_on
from ec2lab.errors import UserError
from ec2lab.files import exists
from ec2lab.hosts.host_keys import Pinning
from ec2lab.hosts.inventory import absent, instances_of, stand_ins_answer, write_ssh_files
from ec2lab.hosts.reachability import expect_resolvable
from ec2lab.hosts.ssh import Host
from ec2lab.hosts.ssh_config import SshConfig, SshTarget
from ec2lab.instance_state import InstanceState, state_of
from ec2lab.registry.recorder import Recorder
from ec2lab.session import Session, locked_session, open_session
from ec2lab.validators import experiment_name

STAND_INS = ip_network("127.64.0.0/10")  # addresses of the local cloud's instances (local_cloud/hosts.py)
ACCESSED = "accessed"  # the annotation by which `make exec`, `push` and `pull` say on which hosts they act
DESTINATION = r"(?:[A-Za-z0-9_.-]+@)?[A-Za-z0-9_][A-Za-z0-9_.:-]*"


def parse_hosts(session: Session, words: str) -> list[Host]:
    """Return the hosts that HOST names, all of an experiment. Raises UserError where one is none, or is not running."""
    if not words.split():
        raise UserError("HOST: which host? (an experiment, or an address; several with spaces between)")
    return [one.connected() for word in words.split() for one in _hosts_to_call(session, word)]


def host_for_experiment(session: Session, experiment: str) -> Host:
    hosts = running_hosts(session, experiment)
    if len(hosts) > 1:
        raise UserError(f"{experiment}: has {len(hosts)} instances; choose one (HOST={hosts[0].name})")
    return hosts[0]


def single_host(session: Session, experiment: str, words: str) -> Host:
    """Return the single host that EXP or HOST names. Raises UserError where they name none, or several."""
    if not words:
        return host_for_experiment(session, experiment_name(experiment))
    hosts = parse_hosts(session, words)
    if len(hosts) > 1:
        raise UserError(f"HOST: names {len(hosts)} hosts; choose one (HOST={hosts[0].name})")
    return hosts[0]


@dataclass(frozen=True, slots=True)
class HostToCall:
    """A host that EXP or HOST names, before the first connection. Its host key is pinned if its console shows one."""

    id: str  # the instance's id, or the address of a host that is not an instance of the lab
    host: Host
    pinning: Pinning | None = None

    @property
    def experiment(self) -> str | None:
        return self.pinning.experiment if self.pinning else None

    def connected(self) -> Host:
        """Return the host. If its console shows no key, the key that it presents now is trusted. Raises Unreachable."""
        if not self.pinning:
            return self.host
        if self.host.trust_on_first_use:
            self.host.run("true")
        return self.pinning.record_tofu_key(self.host)


def running_hosts(session: Session, experiment: str) -> list[Host]:
    return [one.connected() for one in _running_to_call(session, experiment)]


def _running_to_call(session: Session, experiment: str, *, warns: bool = False) -> list[HostToCall]:
    described = instances_of(session, experiment)
    instances = [instance for instance in described if state_of(instance) is InstanceState.RUNNING]
    if not instances:
        if described:
            raise UserError(f"{experiment}: no running instance; `make start EXP={experiment}` starts it")
        raise absent(session, experiment, "no running instance")
    for other in described if warns else ():
        if other not in instances:
            warn(f"{experiment}: {other['InstanceId']} is {other['State']['Name']}; skipped")
    reaches = write_ssh_files(session, experiment, instances)
    if not session.cloud.instances_boot and any(ip_address(reach.address) in STAND_INS for reach in reaches):
        _announce_stand_ins(session, experiment)
    return [_pinned(session, experiment, *pair) for pair in zip(reaches, instances, strict=True)]


def _announce_stand_ins(session: Session, experiment: str) -> None:
    if not stand_ins_answer(session):
        raise UserError(
            "the local cloud's instances answer ssh only on a computer with sshd (Debian, Ubuntu: apt-get install "
            "openssh-server); install it, and run make local-cloud-stop"
        )
    complain(f"{experiment}: a stand-in on this computer answers in its place, as you; nothing is isolated")


def _pinned(session: Session, experiment: str, reach: SshTarget, instance: Mapping[str, Any]) -> HostToCall:
    pinning = Pinning(session, experiment, reach, complain)
    running = clock.now() - instance["LaunchTime"]
    wait = session.lab.ssh.host_key_timeout - running if session.cloud.boot_timeout else timedelta(0)
    return HostToCall(reach.instance, pinning.pin_from_console(seconds=max(0.0, wait.total_seconds())), pinning)


def hosts_to_call(session: Session, experiment: str, words: str) -> list[HostToCall]:
    """Return the hosts that HOST names or else the running instances of EXP. Raises UserError if none runs."""
    if not words:
        return _running_to_call(session, experiment_name(experiment), warns=True)
    return [host for word in words.split() for host in _hosts_to_call(session, word)]


def record_calls(recorder: Recorder, hosts: Sequence[HostToCall]) -> None:
    """Record on which hosts the script is about to act, but not what it does there."""
    by_experiment: dict[str | None, list[str]] = {}
    for one in hosts:
        by_experiment.setdefault(one.experiment, []).append(one.id)
    for experiment, ids in by_experiment.items():
        with working_on(experiment):
            recorder.annotate(**{ACCESSED: {"hosts": ids}})


def _hosts_to_call(session: Session, word: str) -> list[HostToCall]:
    if not re.fullmatch(DESTINATION, word):
        raise UserError(f"HOST: {word!r} is neither an experiment nor an address")
    if not (experiment := experiment_of(session, word)):
        config = SshConfig(session.directory).config
        written = {path.stem for path in experiment_files(session.directory)}
        expect_resolvable(config, word, sorted(written | session.records.state().names))
        return [HostToCall(word, Host(word, config, timeout=session.lab.ssh.login_timeout))]
    hosts = _running_to_call(session, experiment)
    if found := [one for one in hosts if word in (experiment, one.host.name)]:
        return found
    raise UserError(f"HOST: {word} does not run ({', '.join(one.host.name for one in hosts)} does)")


def experiment_of(session: Session, word: str) -> str | None:
    """Return the experiment that HOST names or whose instance it is, without asking AWS."""
    known = {resource.experiment for resource in session.records.state().live}
    if word in known or exists(session.directory / "experiments" / f"{word}.toml"):
        return word
    return SshConfig(session.directory).experiment_of(word)


@contextmanager
def locked_host_session(host: str, script: str) -> Iterator[Session]:
    """Open the lab for a script that changes a host's resources, with the lock of its experiment, if it has one."""
    with open_session(script) as looking:
        experiment = experiment_of(looking, host)
    with locked_session(experiment, script) if experiment else open_session(script) as session:
        yield session
