"""Which images have which snapshots: AWS deletes no snapshot that an image has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client


def images_of(ec2: EC2Client) -> Iterator[tuple[str, str]]:
    """Yield the account's images in a region, each with each snapshot that it has.

    One that is deprecated or disabled has them too
    (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/disable-an-ami.html).
    """
    pages = ec2.get_paginator("describe_images")
    for page in pages.paginate(Owners=["self"], IncludeDeprecated=True, IncludeDisabled=True):
        for image in page["Images"]:
            for mapping in image.get("BlockDeviceMappings", ()):
                if snapshot := mapping.get("Ebs", {}).get("SnapshotId"):
                    yield image["ImageId"], snapshot
