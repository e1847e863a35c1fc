"""What the local cloud begins with: public images, and the demo's data set in two regions."""

from __future__ import annotations

from scripts.local_cloud.images import seed_images
from scripts.local_cloud.machines import backend

DATA_SET_REGIONS = ("us-east-1", "us-west-2")
IMAGE_REGIONS = (*DATA_SET_REGIONS, "us-east-2", "eu-west-1", "eu-central-1", "ap-northeast-1")
DATA_SET = {
    "Name": "speech@1",
    "lab:dataset": "speech",
    "lab:version": "1",
    "lab:label": "speech",
    "lab:filesystem": "ext4",
    "lab:uuid": "6f1c0a3e-5d0b-4c58-9a53-1f6f3d0f5b11",
}
DATA_SET_GIB = 500


def seed() -> None:
    """Fill an empty cloud."""
    for region in IMAGE_REGIONS:
        seed_images(region)
    for region in DATA_SET_REGIONS:
        volume = backend(region).create_volume(size=DATA_SET_GIB, zone_name=f"{region}a", encrypted=True)
        snapshot = backend(region).create_snapshot(volume.id, "The demo's data set")
        snapshot.add_tags(DATA_SET)
        backend(region).delete_volume(volume.id)
