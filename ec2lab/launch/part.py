"""A launch is a sum of parts: each adds its share to the RunInstances request and to the cloud-init document."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ec2lab.aws.error_codes import TRANSIENT, ApiError
from ec2lab.config.models import Experiment
from ec2lab.errors import UserError
from ec2lab.plugin_guard import Guard, Nonsense, ResultCheck, is_a
from ec2lab.plugins import Plugins
from ec2lab.printable import shortened

if TYPE_CHECKING:
    from ec2lab.session import Session


@dataclass(frozen=True, slots=True)
class LaunchContext:
    """What a part is asked for: an experiment, in a region."""

    session: Session
    name: str
    """The experiment's name."""
    experiment: Experiment
    region: str


class RegionUnavailable(UserError):
    """The region lacks something that the launch needs, other regions may have it: it is passed over.

    `error` is what AWS said, where it was AWS that said so.
    """

    def __init__(self, reason: str, error: ApiError | None = None) -> None:
        super().__init__(reason)
        self.error = error

    @property
    def may_pass(self) -> bool:
        """Whether the region may be in order the next time."""
        return self.error is not None and self.error.category in TRANSIENT


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """Something of the lab's that a region lacks and that is made just before its first instance is asked for."""

    what: str
    make: Callable[[], LaunchFragment]


@dataclass(frozen=True, slots=True)
class LaunchFragment:
    """What one part adds; sums are shares too.

    Dictionaries are merged, lists are joined, and two parts that set one key differently are an error.
    """

    request: Mapping[str, Any] = field(default_factory=dict)
    """Members of the RunInstances request."""
    cloud_init: Mapping[str, Any] = field(default_factory=dict)
    """Sections of the cloud-init document."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of the instance."""
    efa_types: frozenset[str] = frozenset()
    """The instance types that get an Elastic Fabric Adapter for their network interface."""
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
        """Make what is still to be made, and return the share with that in it."""
        rest = replace(self, prerequisites=())
        return total([rest, *(preparation.make() for preparation in self.prerequisites)])


LISTS = ("bootcmd", "runcmd", "write_files", "packages", "mounts", "users")
"""Sections of cloud-init to which several launch parts add."""


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
    from botocore.validate import validate_parameters

    model = site.session.cloud.ec2(site.region).meta.service_model.operation_model("RunInstances")
    if model.input_shape:
        validate_parameters({"MinCount": 1, "MaxCount": 1, **request}, model.input_shape)


class LaunchPart(ABC):
    """One concern of a launch."""

    name: ClassVar[str]
    order: ClassVar[int] = 50
    """Where its share stands in the sum: lists, such as the commands run at boot, are joined in this order."""
    once_per_region: ClassVar[bool] = False
    """Whether what it prepares is the lab's own and serves all launches of a region: `make setup-aws` makes it too."""
    results: ClassVar[Mapping[str, ResultCheck]] = {"share": _share}

    @abstractmethod
    def share(self, site: LaunchContext) -> LaunchFragment:
        """Return what this part adds at a site, without changing anything in AWS.

        Parts of one site are asked at the same time, in threads. Raises RegionUnready where the region lacks
        something, UserError where no region will do.
        """


def launch_parts(plugins: Plugins) -> list[LaunchPart]:
    """Return every launch part, in the order in which their shares are added up."""
    return plugins.ordered("lab_launch_parts", LaunchPart)


def total(shares: Iterable[LaunchFragment]) -> LaunchFragment:
    """Add shares up, in their order."""
    return sum(shares, start=LaunchFragment())


def merged(first: Mapping[str, Any], second: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return two nested mappings as one. Raises UserError naming the key that both set differently."""
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
