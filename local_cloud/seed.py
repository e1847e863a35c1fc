"""The initial state of the local cloud: public images everywhere, and the demo's dataset in two regions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from moto.ec2.models import ec2_backends

from local_cloud.default_subnets import leave_out_zones
from local_cloud.images import seed_images
from local_cloud.lifecycle import backend
from local_cloud.request import ACCOUNT

DATA_SET_REGIONS = ("us-east-1", "us-west-2")
DATA_SET = {
    "Name": "speech@1",
    "lab:dataset": "speech",
    "lab:version": "1",
    "lab:label": "speech",
    "lab:filesystem": "ext4",
    "lab:uuid": "6f1c0a3e-5d0b-4c58-9a53-1f6f3d0f5b11",
}
DATA_SET_GIB = 500
KEY = "2b1f7a52-52c5-4c0f-9d0f-0c4c1e7f5a10"

AGE = timedelta(minutes=1)  # of the initial resources, so that a version created in the same second is newer


@dataclass
class Seeder:
    """The seeded regions; the demo's own at once, others on first use."""

    _regions: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for region in DATA_SET_REGIONS:
            self.have(region)

    def have(self, region: str) -> None:
        """Seed a region, unless it is seeded or does not exist."""
        if region in self._regions or region not in ec2_backends[ACCOUNT]:
            return
        self._regions.add(region)
        seed_images(region)
        leave_out_zones(region)
        if region in DATA_SET_REGIONS:
            _seed_data_set(region)


def _seed_data_set(region: str) -> None:
    # Without a key's name moto would generate an RSA key here, at every start and reset.
    key = f"arn:aws:kms:{region}:{ACCOUNT}:key/{KEY}"
    volume = backend(region).create_volume(DATA_SET_GIB, f"{region}a", encrypted=True, kms_key_id=key)
    snapshot = backend(region).create_snapshot(volume.id, "The demo's dataset")
    snapshot.start_time -= AGE
    snapshot.add_tags(DATA_SET)
    backend(region).delete_volume(volume.id)
