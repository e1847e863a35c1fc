"""Resolves what the user names to hosts: an experiment's instances, or hosts of their own ssh configuration."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from ec2lab import clock
from ec2lab.aws.local_server import LOCAL_DIRECTORY, SSH_CONFIG_FILE
from ec2lab.aws.tags import EXPERIMENT
from ec2lab.config.lab_files import load_members
from ec2lab.config.public_key import fingerprint
from ec2lab.console import complain
from ec2lab.context import working_on
from ec2lab.errors import UserError
from ec2lab.files import exists
from ec2lab.hosts.host_keys import Pinning
from ec2lab.hosts.own_keys import own_key_files
from ec2lab.hosts.reachability import expect_resolvable
from ec2lab.hosts.ssh import Host
from ec2lab.hosts.ssh_config import SshConfig, SshTarget, can_name
from ec2lab.instance_state import OVER, InstanceState, state_of
from ec2lab.regions import region_of_zone
from ec2lab.registry.record import local_user
from ec2lab.registry.recorder import Recorder
from ec2lab.resource import Resource
from ec2lab.resources.live_in_aws import find_live_resources
from ec2lab.session import Session, locked_session, open_session
from ec2lab.validators import did_you_mean, experiment_name

STAND_INS = ip_network("127.64.0.0/10")
"""Addresses of the local cloud's instances (local_cloud/hosts.py)."""
CALLED = "called"
"""The annotation by which `make exec`, `push` and `pull` say on which hosts they act."""
DESTINATION = r"(?:[A-Za-z0-9_.-]+@)?[A-Za-z0-9_][A-Za-z0-9_.:-]*"


def login_name(directory: Path) -> str | None:
    """Return the login name: MEMBER, or the member named as the local user; None leaves it to ssh's configuration.

    Raises UserError where MEMBER is not a member.
    """
    members = load_members(directory)
    if named := os.environ.get("MEMBER"):
        if named not in members:
            raise UserError(f"MEMBER: {named!r} is not in members/{did_you_mean(named, members)}")
        return named
    user = local_user()
    return user if user in members else None


def running_instances(session: Session, experiment: str, without: Collection[str] = ()) -> list[Mapping[str, Any]]:
    """Describe the running instances of an experiment, oldest first, without those in some regions."""
    there = instances_of(session, experiment, without)
    return [instance for instance in there if state_of(instance) is InstanceState.RUNNING]


def region_of(instance: Mapping[str, Any]) -> str:
    """Return the region of a described instance. Raises UserError where its zone does not say."""
    zone = instance["Placement"]["AvailabilityZone"]
    if region := region_of_zone(zone):
        return region
    raise UserError(f"{instance['InstanceId']}: no region is known for its zone {zone!r}")


def instances_of(session: Session, experiment: str, without: Collection[str] = ()) -> list[Mapping[str, Any]]:
    """Describe the live instances of an experiment, oldest first, without those in some regions."""
    found = find_live_resources(
        session, experiment, session.records.state(experiment).without(without), only="instance"
    )
    if not found:
        session.records.expect_here(experiment)
    ids, mine = {resource.id for resource in found}, [{"Name": f"tag:{EXPERIMENT}", "Values": [experiment]}]
    # By tag: a filter takes 200 values, and there may be 1,000 instances.
    described = [
        instance
        for region in sorted({resource.region for resource in found})
        for instance in session.resource_types["instance"].find(session.cloud, region, mine)
        if instance["InstanceId"] in ids
    ]
    there = [instance for instance in described if state_of(instance) not in OVER]
    return by_launch_order(there)


def by_launch_order(instances: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Sort described instances, oldest first; those of one request in its order."""
    return sorted(instances, key=lambda m: (str(m["LaunchTime"]), m.get("AmiLaunchIndex", 0), m["InstanceId"]))


def write_ssh_files(session: Session, experiment: str, instances: Sequence[Mapping[str, Any]]) -> list[SshTarget]:
    """Write the ssh configuration of an experiment's instances, and return it."""
    files = SshConfig(session.directory)
    reaches = reaches_of(experiment, instances, files.names(experiment))
    user, members = login_name(session.directory), load_members(session.directory)
    stand_ins = None if session.cloud.instances_boot else _stand_ins_config(session)
    files.write(experiment, reaches, user, identities(files, members[user].keys) if user else (), stand_ins)
    return reaches


def identities(files: SshConfig, keys: Sequence[str]) -> list[Path]:
    """Return the identity files of a member: private keys that are here, and the public halves of others.

    The private half may be in an agent, such as a token's or a password manager's. Without a public half next to a
    private key with a passphrase, not every ssh notices that the agent has it.
    """
    here = {one.fingerprint: one.path for one in own_key_files() if can_name(one.path)}
    private = {key: here[fingerprint(key)] for key in keys if fingerprint(key) in here}
    alone = [
        key for key in keys if key not in private or not exists(private[key].with_name(f"{private[key].name}.pub"))
    ]
    return [*private.values(), *map(files.public_half, alone)]


def reaches_of(experiment: str, instances: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> list[SshTarget]:
    """Name each instance: the experiment's name if it is the only one, else with a number.

    An instance with a name, by its id in `names`, keeps it, so that foo-2 stays foo-2 when foo-1 is gone.
    """
    free = (f"{experiment}-{number}" for number in range(1, len(instances) + len(names) + 1))
    unused = (name for name in free if name not in names.values())
    alone = len(instances) == 1
    found = []
    for instance in instances:
        identity = instance["InstanceId"]
        name = names.get(identity) or (experiment if alone else next(unused))
        address = instance.get("PublicIpAddress") or instance["PrivateIpAddress"]
        found.append(SshTarget(name, address, identity, region_of(instance)))
    return found


def host_names(session: Session, resources: Collection[Resource]) -> dict[str, str]:
    """Return by id what HOST calls instances, as far as this computer has named them; alone, one has no other name."""
    instances = [(r.id, r.experiment) for r in resources if r.resource_type == "instance" and r.experiment]
    experiments = Counter(experiment for _, experiment in instances)
    names = {identity: experiment for identity, experiment in instances if experiments[experiment] == 1}
    with suppress(UserError):  # of files that are not the lab's; who logs in is told of them
        files = SshConfig(session.directory)
        for experiment in experiments:
            names |= files.names(experiment)
    return names


def by_host(resources: Iterable[Resource], hosts: Mapping[str, str]) -> list[Resource]:
    """Return resources by experiment and type, and instances in the order of their names: foo-2 before foo-10."""
    name = {identity: (len(host), host) for identity, host in hosts.items()}
    return sorted(resources, key=lambda r: (r.experiment or "", r.resource_type, name.get(r.id, (0, "")), r.id))


def parse_hosts(session: Session, words: str) -> list[Host]:
    """Return the hosts that HOST names: experiments (all their instances), single instances, addresses.

    Raises UserError where one is not a name, or is an experiment that is not running.
    """
    if not words.split():
        raise UserError("HOST: which host? (an experiment, or an address; several with spaces between)")
    return [one.connected() for word in words.split() for one in _hosts_to_call(session, word)]


def host_for_experiment(session: Session, experiment: str) -> Host:
    """Return the only instance of an experiment. Raises UserError where there is none, or several."""
    hosts = running_hosts(session, experiment)
    if len(hosts) > 1:
        raise UserError(f"{experiment}: has {len(hosts)} instances; say HOST={hosts[0].name}, for one")
    return hosts[0]


def single_host(session: Session, experiment: str, words: str) -> Host:
    """Return the single host that EXP or HOST names. Raises UserError where they name none, or several."""
    if not words:
        return host_for_experiment(session, experiment_name(experiment))
    hosts = parse_hosts(session, words)
    if len(hosts) > 1:
        raise UserError(f"HOST: names {len(hosts)} hosts; say HOST={hosts[0].name}, for one")
    return hosts[0]


@dataclass(frozen=True, slots=True)
class HostToCall:
    """A host that EXP or HOST names, before the first connection. Its host key is pinned if its console shows one."""

    id: str
    """The instance's id, or the address of a host that is not an instance of the lab."""
    host: Host
    pinning: Pinning | None = None

    @property
    def experiment(self) -> str | None:
        """The experiment whose instance it is."""
        return self.pinning.experiment if self.pinning else None

    def connected(self) -> Host:
        """Return the host. If its console shows no key, the key that it presents now is trusted. Raises Unreachable."""
        if not self.pinning:
            return self.host
        if self.host.trust_on_first_use:
            self.host.run("true")
        return self.pinning.record_tofu_key(self.host)


def running_hosts(session: Session, experiment: str) -> list[Host]:
    """Return the running instances of an experiment. Raises UserError where there are none."""
    return [one.connected() for one in _running_to_call(session, experiment)]


def _running_to_call(
    session: Session, experiment: str, say: Callable[[str], None] = lambda _: None
) -> list[HostToCall]:
    described = instances_of(session, experiment)
    instances = [instance for instance in described if state_of(instance) is InstanceState.RUNNING]
    if not instances:
        if described:
            raise UserError(f"{experiment}: no running instance; `make start EXP={experiment}` starts it")
        raise absent(session, experiment, "no running instance")
    for other in described:
        if other not in instances:
            say(f"{experiment}: {other['InstanceId']} is {other['State']['Name']} and is left out")
    reaches = write_ssh_files(session, experiment, instances)
    if not session.cloud.instances_boot and any(ip_address(reach.address) in STAND_INS for reach in reaches):
        _announce_stand_ins(session, experiment)
    return [_pinned(session, experiment, *pair) for pair in zip(reaches, instances, strict=True)]


def absent(session: Session, experiment: str, what: str) -> UserError:
    """Return the error for an experiment with nothing live. Raises another if no experiment has that name."""
    session.expect_known(experiment)
    if exists(session.directory / "experiments" / f"{experiment}.toml"):
        return UserError(f"{experiment}: {what}; `make launch EXP={experiment}` launches it")
    return UserError(f"{experiment}: {what}; `make status` lists live resources")


def stand_ins_answer(session: Session) -> bool:
    """Return whether stand-ins on this computer answer ssh for the local cloud's instances, which never boot."""
    return not session.cloud.instances_boot and exists(_stand_ins_config(session))


def _stand_ins_config(session: Session) -> Path:
    return session.directory / LOCAL_DIRECTORY / SSH_CONFIG_FILE


def _announce_stand_ins(session: Session, experiment: str) -> None:
    if not stand_ins_answer(session):
        raise UserError(
            "the local cloud's instances answer ssh only on a computer with sshd (Debian, Ubuntu: apt-get install "
            "openssh-server); install it, and run make local-cloud-stop"
        )
    complain(f"{experiment}: a stand-in on this computer answers in its place, as you; nothing is isolated")


def _pinned(session: Session, experiment: str, reach: SshTarget, instance: Mapping[str, Any]) -> HostToCall:
    """Return an instance. Its host key is pinned if its console shows it before the host_key_timeout of its launch."""
    pinning = Pinning(session, experiment, reach, complain)
    running = clock.now() - instance["LaunchTime"]
    wait = session.lab.ssh.host_key_timeout - running if session.cloud.boot_timeout else timedelta(0)
    return HostToCall(reach.instance, pinning.pin_from_console(seconds=max(0.0, wait.total_seconds())), pinning)


def hosts_to_call(session: Session, experiment: str, words: str, say: Callable[[str], None]) -> list[HostToCall]:
    """Return the hosts that HOST names or else the running instances of EXP. `say` is told which do not run.

    Raises UserError if none runs.
    """
    if not words:
        return _running_to_call(session, experiment_name(experiment), say)
    return [host for word in words.split() for host in _hosts_to_call(session, word)]


def record_calls(recorder: Recorder, hosts: Sequence[HostToCall]) -> None:
    """Record on which hosts the script is about to act, but not what it does there."""
    by_experiment: dict[str | None, list[str]] = {}
    for one in hosts:
        by_experiment.setdefault(one.experiment, []).append(one.id)
    for experiment, ids in by_experiment.items():
        with working_on(experiment):
            recorder.annotate(**{CALLED: {"hosts": ids}})


def _hosts_to_call(session: Session, word: str) -> list[HostToCall]:
    if not re.fullmatch(DESTINATION, word):
        raise UserError(f"HOST: {word!r} is neither an experiment nor an address")
    if not (experiment := experiment_of(session, word)):
        config = SshConfig(session.directory).config
        expect_resolvable(config, word, session.records.state().names)
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
