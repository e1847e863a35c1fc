"""The interface of launch parts, whose fragments add up to one request and one cloud-init document."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ec2lab.config.models import Experiment
from ec2lab.errors import UserError
from ec2lab.plugin_guard import Guard, Nonsense, ResultCheck, is_a
from ec2lab.plugins import Plugins
from ec2lab.printable import shortened

if TYPE_CHECKING:
    from ec2lab.session import Session


@dataclass(frozen=True, slots=True)
class LaunchContext:
    session: Session
    name: str  # the experiment's name
    experiment: Experiment
    region: str


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """A resource of the lab that a region lacks. It is created just before the region's first RunInstances call."""

    what: str
    make: Callable[[], LaunchFragment]


@dataclass(frozen=True, slots=True)
class LaunchFragment:
    """What one part adds to a launch, or the sum of several parts.

    Dictionaries are merged and lists are joined. If two parts set one key differently, that is an error.
    """

    request: Mapping[str, Any] = field(default_factory=dict)  # members of the RunInstances request
    cloud_init: Mapping[str, Any] = field(default_factory=dict)  # sections of the cloud-init document
    tags: Mapping[str, str] = field(default_factory=dict)  # tags of the instance
    efa_types: frozenset[str] = frozenset()  # instance types whose network interface is an Elastic Fabric Adapter
    prerequisites: tuple[Prerequisite, ...] = ()

    def __add__(self, other: LaunchFragment) -> LaunchFragment:
        return LaunchFragment(
            request=merged(self.request, other.request, "RunInstances"),
            cloud_init=merged(self.cloud_init, other.cloud_init, "cloud-init"),
            tags=merged(self.tags, other.tags, "tags"),
            efa_types=self.efa_types | other.efa_types,
            prerequisites=self.prerequisites + other.prerequisites,
        )

    def prepared(self) -> LaunchFragment:
        """Create the prerequisites, and return the fragment with their results."""
        rest = replace(self, prerequisites=())
        return total([rest, *(preparation.make() for preparation in self.prerequisites)])


LISTS = ("bootcmd", "runcmd", "write_files", "packages", "mounts", "users")
"""Sections of cloud-init that several launch parts add to."""


def _share(found: Any, guard: Guard, *given: Any) -> LaunchFragment:
    """Validate a fragment on its own. Raises Nonsense, ParamValidationError, or json's TypeError."""
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
    from botocore.validate import validate_parameters

    model = site.session.cloud.ec2(site.region).meta.service_model.operation_model("RunInstances")
    if model.input_shape:
        validate_parameters({"MinCount": 1, "MaxCount": 1, **request}, model.input_shape)


class LaunchPart(ABC):
    """One concern of a launch."""

    name: ClassVar[str]
    order: ClassVar[int] = 50
    """Parts are added in this order, which is the order of joined lists, such as boot commands."""
    once_per_region: ClassVar[bool] = False
    """Whether its prerequisites are shared by all launches in a region. `make setup-aws` creates those too."""
    results: ClassVar[Mapping[str, ResultCheck]] = {"share": _share}

    @abstractmethod
    def share(self, site: LaunchContext) -> LaunchFragment:
        """Return the fragment for an experiment in a region, without changing anything in AWS.

        All parts are called in parallel, in threads. Raises RegionUnavailable if the region lacks something, UserError
        if the launch cannot succeed anywhere.
        """


def write_files(files: Mapping[str, tuple[str, str]]) -> list[dict[str, str]]:
    """Return cloud-init's `write_files` for files given by path as (mode, content)."""
    return [{"path": path, "permissions": mode, "content": content} for path, (mode, content) in files.items()]


def launch_parts(plugins: Plugins) -> list[LaunchPart]:
    return plugins.ordered("lab_launch_parts", LaunchPart)


def total(shares: Iterable[LaunchFragment]) -> LaunchFragment:
    return sum(shares, start=LaunchFragment())


def merged(first: Mapping[str, Any], second: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the merge of two nested mappings. Raises UserError that names a key which both set differently."""
    result = dict(first)
    for key, value in second.items():
        mine = result.get(key)
        if isinstance(mine, list) and isinstance(value, list):
            result[key] = mine + value
        elif isinstance(mine, Mapping) and isinstance(value, Mapping):
            result[key] = merged(mine, value, f"{where}.{key}")
        elif key not in result or mine == value:
            result[key] = value
        else:
            raise UserError(f"launch parts: {where}.{key} is set twice, to {mine!r} and to {value!r}")
    return result
