"""What a plugin's methods must return, by their names; whatever else they return is named where it comes from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from botocore.validate import validate_parameters

from ec2lab.costs.charges import CostPeriod
from ec2lab.costs.meter import Meter
from ec2lab.errors import PluginFailed
from ec2lab.findings import Finding
from ec2lab.launch.part import LaunchContext, LaunchFragment, Prerequisite
from ec2lab.plugin_guard import Guard, Nonsense, each, guarded, is_a
from ec2lab.printable import shortened
from ec2lab.registry.base import Registry
from ec2lab.registry.record import Event, Record, parse_time
from ec2lab.registry.shapes import RESPONSES
from ec2lab.resource import Resource, ResourceType

LISTS = ("bootcmd", "runcmd", "write_files", "packages", "mounts", "users")
"""Sections of cloud-init to which several launch parts add."""


def _one(wanted: Any, words: str) -> Callable[..., Any]:
    return lambda found, *_: is_a(found, wanted, words)


def _several(wanted: Any, words: str) -> Callable[..., Any]:
    return lambda found, guard, *_: each(found, guard, lambda one: is_a(one, wanted, words), words)


def _moment(found: Any, *_: Any) -> str:
    text: str = is_a(found, str, "time as RFC 3339")
    datetime.fromisoformat(text or "2026-01-01")
    return text


def _finding(found: Any) -> Finding:
    finding: Finding = is_a(found, Finding, "Finding")
    _ = finding.text, finding.remedy  # a value may be missing in its words
    return finding


def _findings(found: Any, guard: Guard, *_: Any) -> Any:
    return each(found, guard, _finding, "Finding")


def _looks(found: Any, guard: Guard, *_: Any) -> Any:
    def look(one: Any) -> Any:
        return guard.function(is_a(one, Callable, "function"), _findings)

    return each(found, guard, look, "function")


def _share(found: Any, guard: Guard, *given: Any) -> LaunchFragment:
    """Check a share as far as it can be by itself. Raises Nonsense, ParamValidationError, or TypeError of JSON."""
    share: LaunchFragment = is_a(found, LaunchFragment, "LaunchFragment")
    for name in ("request", "cloud_init", "tags"):
        _is_member(share, name, Mapping)
    _is_member(share, "efa_types", frozenset)
    for key in [key for key in LISTS if not isinstance(share.cloud_init.get(key, []), list)]:
        raise Nonsense(f"LaunchFragment.cloud_init: {key} is {share.cloud_init[key]!r}, not a list")
    for name, value in share.tags.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise Nonsense(f"LaunchFragment.tags: {name!r}: {value!r} is no text")
    json.dumps(share.cloud_init)
    for site in (one for one in given if isinstance(one, LaunchContext)):
        _check_request(site, share.request)

    def made(found: Any, guard: Guard, *_: Any) -> LaunchFragment:
        return _share(found, guard, *given)

    prerequisites = [is_a(one, Prerequisite, "Prerequisite") for one in share.prerequisites]
    return replace(
        share, prerequisites=tuple(replace(one, make=guard.function(one.make, made)) for one in prerequisites)
    )


def _is_member(share: LaunchFragment, name: str, wanted: Any) -> None:
    if not isinstance(value := getattr(share, name), wanted):
        raise Nonsense(f"LaunchFragment.{name} is {shortened(repr(value), 80)}, not a {wanted.__name__.lower()}")


def _check_request(site: LaunchContext, request: Mapping[str, Any]) -> None:
    """Hold members of a RunInstances request to botocore's model. Raises ParamValidationError."""
    model = site.session.cloud.ec2(site.region).meta.service_model.operation_model("RunInstances")
    if model.input_shape:
        validate_parameters({"MinCount": 1, "MaxCount": 1, **request}, model.input_shape)


def _meter(found: Any, guard: Guard, *_: Any) -> Meter:
    meter: Meter = is_a(found, Meter, "Meter")
    return guarded(meter, guard, RESULTS)


def _registry(found: Any, guard: Guard, *_: Any) -> Registry:
    registry: Registry = is_a(found, Registry, "Registry")
    return guarded(registry, guard, RESULTS)


RESULTS: Mapping[str, Callable[..., Any]] = {
    "share": _share,
    "look": _findings,
    "looks": _looks,
    "fix": _several(str, "text"),
    "open": _registry,
    "records": _several(Record, "Record"),
    "history": _several(Record, "Record"),
    "histories": _several(Record, "Record"),
    "meter": _meter,
    "spans": _several(CostPeriod, "CostPeriod"),
    "created_resources": _several(Resource, "Resource"),
    "ended_by": _several(str, "id"),
    "created_in": _several(Mapping, "mapping"),
    "find": _several(Mapping, "mapping"),
    "whole": _several(Mapping, "mapping"),
    "by_id": _several(Mapping, "mapping"),
    "tagged": _several(Resource, "Resource"),
    "resource": _one(Resource, "Resource"),
    "held_by": _several(str, "text"),
    "id_in": _one(str, "text"),
    "state_in": _one(str, "text"),
    "since_in": _moment,
    "details_in": _one(Mapping, "mapping"),
    "monthly": _one(float | int | None, "number"),
    "idle": _one(str, "text"),
    "looked_up": _one(Mapping, "mapping"),
    "unknown_in": _one(Mapping, "mapping"),
}


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
