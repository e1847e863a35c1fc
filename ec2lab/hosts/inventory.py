"""The instances of an experiment as hosts: which there are, their names, and who logs in to them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ec2lab.aws.local_server import LOCAL_DIRECTORY, SSH_CONFIG_FILE
from ec2lab.aws.tags import EXPERIMENT
from ec2lab.config.lab_files import load_members
from ec2lab.config.public_key import fingerprint
from ec2lab.errors import UserError
from ec2lab.files import exists
from ec2lab.hosts.own_keys import own_key_files
from ec2lab.hosts.ssh_config import SshConfig, SshTarget, can_name
from ec2lab.instance_state import OVER, InstanceState, state_of
from ec2lab.regions import region_of_zone
from ec2lab.registry.record import local_user
from ec2lab.resource import Resource
from ec2lab.resources.live_in_aws import find_live_resources
from ec2lab.session import Session
from ec2lab.validators import did_you_mean


def login_name(directory: Path) -> str | None:
    """Return MEMBER, or the member named as the local user; None leaves it to ssh's configuration. Raises UserError."""
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
    return sorted(instances, key=lambda m: (str(m["LaunchTime"]), m.get("AmiLaunchIndex", 0), m["InstanceId"]))


def write_ssh_files(session: Session, experiment: str, instances: Sequence[Mapping[str, Any]]) -> list[SshTarget]:
    files = SshConfig(session.directory)
    reaches = reaches_of(experiment, instances, files.names(experiment))
    user, members = login_name(session.directory), load_members(session.directory)
    stand_ins = None if session.cloud.instances_boot else stand_ins_config(session)
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
    """Name each instance: foo if it is the only one, else foo-1, foo-2, …; those with a name in `names` keep it."""
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


def absent(session: Session, experiment: str, what: str) -> UserError:
    """Return the error for an experiment with nothing live. Raises another if no experiment has that name."""
    session.expect_known(experiment)
    if exists(session.directory / "experiments" / f"{experiment}.toml"):
        return UserError(f"{experiment}: {what}; `make launch EXP={experiment}` launches it")
    return UserError(f"{experiment}: {what}; `make status` lists live resources")


def stand_ins_answer(session: Session) -> bool:
    """Return whether stand-ins on this computer answer ssh for the local cloud's instances, which never boot."""
    return not session.cloud.instances_boot and exists(stand_ins_config(session))


def stand_ins_config(session: Session) -> Path:
    return session.directory / LOCAL_DIRECTORY / SSH_CONFIG_FILE
