"""What a volume for a running instance is made from, and which instance that is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from ec2lab.aws.region_queries import not_seen
from ec2lab.config.fields import mount_point
from ec2lab.datasets.dataset import chosen, data_registries, list_snapshots
from ec2lab.errors import UserError
from ec2lab.hosts.named_hosts import single_host
from ec2lab.hosts.ssh import Host
from ec2lab.hosts.ssh_config import SshConfig
from ec2lab.resources.live_in_aws import known_regions
from ec2lab.session import Session
from ec2lab.volumes.mount import Instance, MountRequest
from ec2lab.volumes.mounted import MountedVolume
from ec2lab.volumes.spec import letters_of


def wanted(
    session: Session, instance: Instance, mount: str, volume: str, snapshot: str, dataset: str, version: str | None
) -> MountRequest:
    """Return what to mount, looked up in the instance's region. Raises UserError."""
    if not mount:
        raise UserError("MOUNT: at which directory? (MOUNT=/data)")
    try:
        at = mount_point(mount)
    except ValueError as problem:
        raise UserError(f"MOUNT: {problem}") from problem
    if volume:
        return MountRequest(at, volume=volume)
    ec2 = session.cloud.ec2(instance.region)
    there = list_snapshots(session.cloud, instance.region)
    identity = snapshot or chosen(dataset, version, there, instance.region, data_registries(session)).id
    try:
        found = ec2.describe_snapshots(SnapshotIds=[identity])["Snapshots"][0]
    except ClientError as error:
        if not error.response["Error"]["Code"].startswith("InvalidSnapshot"):
            raise
        raise UserError(f"SNAPSHOT: {identity} is not in {instance.region}, where the instance is") from error
    if found["State"] != "completed":
        raise UserError(f"SNAPSHOT: {identity} is not complete yet ({found.get('Progress') or found['State']})")
    return MountRequest(at, snapshot=found)


Description = Mapping[str, Any]


def described(session: Session, volume: str, regions: Iterable[str]) -> tuple[Description, str]:
    """Return a volume's description and region. Raises UserError where no region, or none that responds, has it."""
    resource_type, places = session.resource_types["volume"], list(regions)
    wanted = [{"Name": "volume-id", "Values": [volume]}]
    responses = session.queries.run(
        {(place, resource_type.name): partial(resource_type.whole, session.cloud, place, wanted) for place in places}
    )
    for (region, _), items in responses.found.items():
        for found in items:
            return found, region
    seen = [region for region in places if region not in responses.unseen]
    lacks = f"{volume} is in none of {', '.join(seen)}" if seen else ""
    raise UserError(f"VOLUME: {'; '.join(filter(None, (lacks, *not_seen(responses.unseen))))}")


def identified(session: Session, mounted: MountedVolume, volume: str) -> tuple[MountedVolume, str]:
    """Return a host's mounted file system with its volume's id, and the region.

    A disk without an id is the volume that the user names, if AWS has that attached under the disk's name. Raises
    UserError.
    """
    identity = mounted.id or volume
    if not identity:
        raise UserError(f"{mounted.mount}: its disk {mounted.device} does not report its volume's id; set VOLUME=vol-…")
    found, region = described(session, identity, known_regions(session))
    devices = [str(attachment["Device"]) for attachment in found.get("Attachments", ())]
    own = letters_of(mounted.disk)
    if not mounted.id and own and all(letters_of(device) != own for device in devices):
        where = f"attached as {', '.join(devices)}" if devices else "attached nowhere"
        raise UserError(f"VOLUME: {identity} is {where}, and {mounted.mount} is on {mounted.disk}")
    return replace(mounted, id=identity), region


def resolve_instance(session: Session, word: str) -> Instance:
    """Return the instance that HOST names. Raises UserError where it is not an EC2 instance in the lab's regions."""
    host = single_host(session, "", word)
    identity = SshConfig(session.directory).instance_of(host.name) or _said_by(host)
    wanted = [{"Name": "instance-id", "Values": [identity]}]
    for region in known_regions(session):
        for found in session.resource_types["instance"].find(session.cloud, region, wanted):
            return Instance(host, region, found)
    raise UserError(f"HOST: {word} reports that it is {identity!r}, which is in none of the lab's regions")


def _said_by(host: Host) -> str:
    output = host.run("cloud-init", "query", "instance_id").strip()
    if not re.fullmatch(r"i-[0-9a-z]{1,40}", output):
        raise UserError(f"{host.name}: reports that it is {output[:60]!r}, which is not an instance id")
    return output
