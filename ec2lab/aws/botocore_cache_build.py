"""What is left of botocore's data once it is cut down; run at set-up, for the botocore that was installed.

Which operations are called is known from the policies that allow them: docs/iam-policy.json and that for data are held
by a test to exactly the calls that the lab makes.
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
"""The files that botocore looks for, before and after a client is made."""


def main() -> None:
    """Cut the data of the installed botocore, and clear away what is left of earlier ones."""
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
    """Write to `directory` what is needed to call these operations of each service."""
    loader = Loader(include_default_extras=False)
    services = {type_name: loader.list_available_services(type_name) for type_name in TYPES}
    write(directory / f"{SERVICES}.json", services)
    endpoints = set()
    for service in sorted(operations.keys() & set(services[MODEL])):
        name = f"{service}/{loader.determine_latest_version(service, MODEL)}/{MODEL}"
        model = loader.load_data(name)
        endpoints.add(model["metadata"]["endpointPrefix"])
        if not _has_extras(loader, name):
            write(directory / f"{name}.json", trim_model(model, operations[service]))
    write(directory / f"{ENDPOINTS}.json", trim_endpoints(loader.load_data(ENDPOINTS), endpoints))


def _has_extras(loader: Loader, name: str) -> bool:
    """Say whether botocore adds to a model once it is read, which needs the whole of it."""
    return any(loader.file_loader.exists(f"{path}/{name}.sdk-extras") for path in loader.search_paths)


def trim_endpoints(endpoints: Mapping[str, Any], services: Iterable[str]) -> dict[str, Any]:
    """Return the partitions of AWS with the endpoints of some services."""
    kept = set(services)
    partitions = [
        {**partition, "services": {name: of for name, of in partition["services"].items() if name in kept}}
        for partition in endpoints["partitions"]
    ]
    return {**endpoints, "partitions": partitions}


def trim_model(model: Mapping[str, Any], operations: Iterable[str]) -> dict[str, Any]:
    """Return a service's model with all of its operations, and its exceptions and what else some of them need."""
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
    """Find the shapes that a part of a model speaks of: {"shape": "Reservation"}."""
    if isinstance(part, dict):
        if isinstance(name := part.get("shape"), str):
            yield name
        for inner in part.values():
            yield from _shapes_in(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _shapes_in(inner)


def _without_documentation(part: Any) -> Any:
    """Leave out what is said for people; a member of that name is a dictionary."""
    if isinstance(part, dict):
        return {
            key: _without_documentation(inner)
            for key, inner in part.items()
            if not (key == "documentation" and isinstance(inner, str))
        }
    return [_without_documentation(inner) for inner in part] if isinstance(part, list) else part


if __name__ == "__main__":
    main()
