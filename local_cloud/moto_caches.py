"""Caches of what moto computes for each call and never changes.

Its modules on disk and the names of a class's methods: a fifth of a call's time. The zones that offer an instance type:
moto compares thousands of offerings, 8 of the 10 ms of such a call.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from moto import backends
from moto.core import responses
from moto.core.utils import method_names_from_class
from moto.ec2.models.instance_types import InstanceTypeOfferingBackend


def look_up_once() -> None:
    """Patch moto."""
    modules = frozenset(backends.list_of_moto_modules())

    def known_modules() -> Any:
        return modules

    backends.list_of_moto_modules = known_modules
    responses.method_names_from_class = cache(method_names_from_class)  # type: ignore[attr-defined]
    InstanceTypeOfferingBackend.describe_instance_type_offerings = _once(  # type: ignore[method-assign]
        InstanceTypeOfferingBackend.describe_instance_type_offerings
    )


def _once(look: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """Return a backend's method, cached by arguments and region."""
    known: dict[str, list[Any]] = {}

    def look_once(backend: Any, *arguments: Any, **named: Any) -> list[Any]:
        key = json.dumps([backend.region_name, arguments, named], sort_keys=True)
        if key not in known:
            known[key] = look(backend, *arguments, **named)
        return list(known[key])

    return look_once
