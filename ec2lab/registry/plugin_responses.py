"""The answers to plugins' operations: only the plugin's resource type knows what must be in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ec2lab.errors import PluginFailed
from ec2lab.registry.record import Event, Record, parse_time
from ec2lab.registry.shapes import RESPONSES
from ec2lab.resource import ResourceType


def check_readable(record: Record, kinds: Callable[[], Mapping[str, ResourceType]]) -> None:
    """Raise ValueError where a plugin's resource type cannot read what its own operation answered."""
    if record.event is not Event.RESPONSE or record.operation in RESPONSES:
        return
    for kind in kinds().values():
        if record.operation in (*kind.created_by, kind.deleted_by):
            try:
                for resource in kind.created_resources(record):
                    parse_time(resource.since or record.time)
                list(kind.ended_by(record))
            except (AttributeError, IndexError, KeyError, PluginFailed, TypeError) as problem:
                raise ValueError(
                    f"response: no {kind.name} can be read from it ({getattr(problem, 'what', repr(problem))})"
                ) from problem
