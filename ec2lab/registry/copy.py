"""Copies one registry into another, without loss or duplicates."""

from __future__ import annotations

from collections.abc import Mapping

from ec2lab.errors import UserError
from ec2lab.progress import working
from ec2lab.registry.base import Registry
from ec2lab.registry.compaction import needed_records
from ec2lab.resource import ResourceType


def copy_records(source: Registry, target: Registry, resource_types: Mapping[str, ResourceType]) -> tuple[int, int]:
    """Write what `target` lacks of `source`, archive included; return the numbers of copied and skipped records.

    The target answers for the source's resources from then on. If it is interrupted, run it again. Raises UserError if
    both are the same.
    """
    if source.place == target.place:
        raise UserError(f"{source.name}: is this lab's own registry")
    if not source.is_there():
        raise UserError(f"{source.name}: there is no registry")
    with working(f"reading {source.name}"):
        everything = source.history()
    with working(f"reading {target.name}"):
        there = {record.id for record in target.history()}
        target.answer_for(source.ids())
    missing = [record for record in everything if record.id not in there]
    with working(f"writing {len(missing)} records to {target.name}"):
        target.append_all(missing)
        target.archive(lambda records: needed_records(records, resource_types))
    return len(missing), len(everything) - len(missing)
