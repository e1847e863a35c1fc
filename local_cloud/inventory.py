"""Everything in all regions, for tests that check what was left anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends
from moto.sns.models import sns_backends

from local_cloud.lifecycle import instances_in
from local_cloud.request import ACCOUNT


def inventory() -> list[dict[str, Any]]:
    """Return each resource's type, id, region, state and tags, without what every account has from the beginning."""
    regions = ec2_backends[ACCOUNT]
    here = [{**thing, "region": region} for region in sorted(regions) for thing in _in_region(regions[region])]
    return [*here, *_in_iam(), *_topics()]


def _topics() -> Iterator[dict[str, Any]]:
    for store in sns_backends[ACCOUNT].values():
        for topic in store.topics.values():
            tags = dict(topic._tags)  # noqa: SLF001
            yield {"kind": "topic", "id": topic.arn, "region": "global", "state": "", "tags": tags}


def _in_iam() -> Iterator[dict[str, Any]]:
    store = iam_backends[ACCOUNT]["aws"]
    for kind, models in (("role", store.roles), ("instance-profile", store.instance_profiles)):
        for model in models.values():
            tags = {tag["Key"]: tag["Value"] for tag in model.tags or ()}
            yield {"kind": kind, "id": model.name, "region": "global", "state": "", "tags": tags}


def _in_region(store: Any) -> Iterator[dict[str, Any]]:
    groups = [group for of_network in store.groups.values() for group in of_network.values()]
    kept: dict[str, list[Any]] = {
        "instance": instances_in(store.region_name),
        "volume": list(store.volumes.values()),
        "snapshot": [snapshot for snapshot in store.snapshots.values() if snapshot.owner_id == ACCOUNT],
        "security-group": [group for group in groups if group.name != "default"],
        "key-pair": list(store.key_pairs.values()),
        "address": list(store.addresses),
        "network-interface": list(store.enis.values()),
    }
    for kind, models in kept.items():
        for model in models:
            tags = {tag["key"]: tag["value"] for tag in model.get_tags()}
            identity = model.allocation_id if kind == "address" else model.id
            yield {"kind": kind, "id": identity, "state": model.state if kind == "instance" else "", "tags": tags}
