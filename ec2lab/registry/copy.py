"""From one registry into another, without loss and without doubling anything."""

from __future__ import annotations

from collections.abc import Mapping

from ec2lab.errors import UserError
from ec2lab.registry.base import Registry
from ec2lab.registry.compaction import needed_records
from ec2lab.resource import ResourceType


def copy_records(source: Registry, target: Registry, kinds: Mapping[str, ResourceType]) -> tuple[int, int]:
    """Write what `target` has not of `source`, the archive too; return how many records that were, and how many not.

    What the source made is the target's own from then on. May be cut off and run again at any time. Raises UserError
    where both are one.
    """
    if source.place == target.place:
        raise UserError(f"{source.name}: is the registry of this lab itself")
    if not source.is_there():
        raise UserError(f"{source.name}: there is no registry")
    everything = source.history()
    there = {record.id for record in target.history()}
    target.answer_for(source.ids())
    missing = [record for record in everything if record.id not in there]
    target.append_all(missing)
    target.archive(lambda records: needed_records(records, kinds))
    return len(missing), len(everything) - len(missing)
