"""Builds the reduced botocore data at set-up, for the installed version.

The operations that are called are those that docs/iam-policy.json and the policy for data allow; a test ensures that
these are exactly the calls that the lab makes.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import botocore
from botocore.loaders import Loader

from ec2lab.aws.botocore_cache import DIRECTORY, ENDPOINTS, SERVICES
from ec2lab.disk_cache import write

DOCS = Path(__file__).parents[2] / "docs"
POLICIES = (DOCS / "iam-policy.json", DOCS / "iam-policy-data.json")
MODEL = "service-2"
TYPES = (MODEL, "endpoint-rule-set-1", "paginators-1", "waiters-2")
"""The files that botocore reads before and after a client is created."""


def main() -> None:
    """Build the data for the installed botocore, and delete that of earlier versions."""
    of_this_version = DIRECTORY / botocore.__version__
    cut(of_this_version, operations_allowed(json.loads(policy.read_text()) for policy in POLICIES))
    for earlier in set(DIRECTORY.iterdir()) - {of_this_version}:
        shutil.rmtree(earlier)


def operations_allowed(policies: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Return the operations of each service that policies allow."""
    found: dict[str, set[str]] = defaultdict(set)
    for statement in (statement for policy in policies for statement in policy["Statement"]):
        actions = statement["Action"]
        for action in [actions] if isinstance(actions, str) else actions:
            service, _, operation = action.partition(":")
            found[service].add(operation)
    return found


def cut(directory: Path, operations: Mapping[str, set[str]]) -> None:
    """Write to `directory` what these operations of each service need."""
    loader = Loader(include_default_extras=False)
    services = {type_name: loader.list_available_services(type_name) for type_name in TYPES}
    write(directory / f"{SERVICES}.json", services)
    endpoints = set()
    for service in sorted(operations.keys() & set(services[MODEL])):
        name = f"{service}/{loader.determine_latest_version(service, MODEL)}/{MODEL}"
        model = loader.load_data(name)
        endpoints.add(model["metadata"]["endpointPrefix"])
        if not _has_extras(loader, name):
            write(directory / f"{name}.json", _trim_model(model, operations[service]))
    write(directory / f"{ENDPOINTS}.json", _trim_endpoints(loader.load_data(ENDPOINTS), endpoints))


def _has_extras(loader: Loader, name: str) -> bool:
    """Return whether botocore extends a model after reading it, which needs the complete model."""
    return any(loader.file_loader.exists(f"{path}/{name}.sdk-extras") for path in loader.search_paths)


def _trim_endpoints(endpoints: Mapping[str, Any], services: Iterable[str]) -> dict[str, Any]:
    """Return the partitions of AWS with the endpoints of some services."""
    kept = set(services)
    partitions = [
        {**partition, "services": {name: of for name, of in partition["services"].items() if name in kept}}
        for partition in endpoints["partitions"]
    ]
    return {**endpoints, "partitions": partitions}


def _trim_model(model: Mapping[str, Any], operations: Iterable[str]) -> dict[str, Any]:
    """Return a service's model with all operations, its exceptions, and the shapes that some operations need."""
    shapes: dict[str, Any] = {}
    needed = [name for operation in operations for name in _shapes_in(model["operations"].get(operation))]
    needed += [name for name, shape in model["shapes"].items() if shape.get("exception")]
    while needed:
        name = needed.pop()
        if name not in shapes:
            shapes[name] = model["shapes"][name]
            needed += _shapes_in(shapes[name])
    return {
        **model,
        "operations": _without_documentation(model["operations"]),
        "shapes": _without_documentation(shapes),
    }


def _shapes_in(part: Any) -> Iterator[str]:
    """Yield the shapes that a part of a model refers to: {"shape": "Reservation"}."""
    if isinstance(part, dict):
        if isinstance(name := part.get("shape"), str):
            yield name
        for inner in part.values():
            yield from _shapes_in(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _shapes_in(inner)


def _without_documentation(part: Any) -> Any:
    """Return a part without documentation; a member with that name is a dictionary."""
    if isinstance(part, dict):
        return {
            key: _without_documentation(inner)
            for key, inner in part.items()
            if not (key == "documentation" and isinstance(inner, str))
        }
    return [_without_documentation(inner) for inner in part] if isinstance(part, list) else part


if __name__ == "__main__":
    main()
