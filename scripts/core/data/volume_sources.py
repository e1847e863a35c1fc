"""What a volume for a running machine is made from."""

from __future__ import annotations

from botocore.exceptions import ClientError

from scripts.core.data.data_sets import chosen, in_region
from scripts.core.data.volume_mounting import Machine, Wanted
from scripts.core.errors import LabError
from scripts.core.lab.values import mount_point
from scripts.core.session import Session


def wanted(
    session: Session, machine: Machine, mount: str, volume: str, snapshot: str, dataset: str, version: str | None
) -> Wanted:
    """Return what is to be mounted, looked up in the machine's region. Raises LabError."""
    if not mount:
        raise LabError("MOUNT: where is it to be mounted? (MOUNT=/data)")
    try:
        at = mount_point(mount)
    except ValueError as problem:
        raise LabError(f"MOUNT: {problem}") from problem
    if volume:
        return Wanted(at, volume=volume)
    ec2 = session.cloud.ec2(machine.region)
    there = in_region(session.cloud, machine.region)
    identity = snapshot or chosen(dataset, version, there, machine.region, session.data_registries()).id
    try:
        found = ec2.describe_snapshots(SnapshotIds=[identity])["Snapshots"][0]
    except ClientError as refusal:
        if not refusal.response["Error"]["Code"].startswith("InvalidSnapshot"):
            raise
        raise LabError(f"SNAPSHOT: {identity} is not in {machine.region}, where the machine is") from refusal
    if found["State"] != "completed":
        raise LabError(f"SNAPSHOT: {identity} is not complete yet ({found.get('Progress') or found['State']})")
    return Wanted(at, snapshot=found)
