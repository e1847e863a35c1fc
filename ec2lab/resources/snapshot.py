"""EBS snapshots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ec2lab import clock
from ec2lab.aws.cloud import Cloud
from ec2lab.aws.tags import BYTES, from_aws
from ec2lab.registry.evidence import Call
from ec2lab.registry.storage_timeline import CREATE_OPERATIONS
from ec2lab.resource import Resource, ResourceType
from ec2lab.units import GIB

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client


OLD = 90  # days after which an unrecorded snapshot is worth a look


class Snapshot(ResourceType):
    """An EBS snapshot of an experiment (a dataset's belongs to the lab, and has no experiment)."""

    name = "snapshot"
    tag_type = "snapshot"
    created_by = CREATE_OPERATIONS
    since_member = "StartTime"
    deleted_by = "DeleteSnapshot"
    deleted_with = "SnapshotId"
    id_filter = "snapshot-id"
    deleted_after = ("volume",)
    not_found_codes = ("InvalidSnapshot.NotFound",)
    dependency_codes = ("InvalidSnapshot.InUse",)

    def confirms(self, found: Mapping[str, Any], call: Call) -> bool:
        """Say whether it was started at that time, and is of the requested volume, if any."""
        of_the_volume = call.request.get("VolumeId") in (None, found.get("VolumeId"))
        return of_the_volume and super().confirms(found, call)

    def idle(self, found: Mapping[str, Any]) -> str:
        days = (clock.now() - datetime.fromisoformat(self.since_in(found))).days
        return f"{days} days old" if days >= OLD else ""

    def find(self, cloud: Cloud, region: str, filters: Sequence[Any]) -> Iterable[Mapping[str, Any]]:
        pages = cloud.ec2(region).get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=filters)
        return pages.search("Snapshots[]")

    def held_by(self, cloud: Cloud, resource: Resource) -> Iterable[str]:
        yield from (
            f"image {image}" for image, snapshot in images_of(cloud.ec2(resource.region)) if snapshot == resource.id
        )


def stored_bytes(found: Mapping[str, Any]) -> int | None:
    """Return the size of all of a snapshot's blocks: as AWS says, else its tag, else its whole volume.

    The volume's size is the maximum; None where not even that is known.
    """
    if stored := found.get("FullSnapshotSizeInBytes"):
        return int(stored)
    most, tagged = int(found.get("VolumeSize") or 0) * GIB, from_aws(found.get("Tags")).get(BYTES, "")
    return (min(int(tagged), most) if tagged.isdecimal() else most) or None


def images_of(ec2: EC2Client) -> Iterator[tuple[str, str]]:
    """Yield the account's images in a region with each of their snapshots.

    Deprecated and disabled images use theirs as well
    (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/disable-an-ami.html).
    """
    pages = ec2.get_paginator("describe_images")
    for page in pages.paginate(Owners=["self"], IncludeDeprecated=True, IncludeDisabled=True):
        for image in page["Images"]:
            for mapping in image.get("BlockDeviceMappings", ()):
                if snapshot := mapping.get("Ebs", {}).get("SnapshotId"):
                    yield image["ImageId"], snapshot
