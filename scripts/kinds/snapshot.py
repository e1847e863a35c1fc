"""A snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scripts.core.cloud import Cloud
from scripts.core.kind import Kind, Resource


class Snapshot(Kind):
    """An EBS snapshot that an experiment made for itself (a data set's is the lab's, and carries no experiment)."""

    name = "snapshot"
    tag_type = "snapshot"
    created_by = ("CreateSnapshot", "CopySnapshot", "StartSnapshot")
    deleted_by = "DeleteSnapshot"
    deleted_with = "SnapshotId"
    deleted_after = ("volume",)
    gone_codes = ("InvalidSnapshot.NotFound",)
    not_yet_codes = ("InvalidSnapshot.InUse",)

    def created_in(self, response: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        """Return the snapshot of an answer to any of the three."""
        return [response]

    def id_in(self, found: Mapping[str, Any]) -> str:
        """Return the snapshot id."""
        return str(found["SnapshotId"])

    def find(self, cloud: Cloud, region: str, filters: Sequence[Any]) -> Iterable[Mapping[str, Any]]:
        """Describe this account's snapshots that match."""
        pages = cloud.ec2(region).get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=filters)
        for page in pages:
            yield from page["Snapshots"]

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        """Delete it."""
        cloud.ec2(resource.region).delete_snapshot(SnapshotId=resource.id)
