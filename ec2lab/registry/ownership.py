"""Proves whose a resource is. Tags alone are copied by other tools, and written by other people.

The console's "Launch more like this", launch templates, AWS Backup and snapshot policies copy all tags. A resource is
ours if it has our tags and a recorded response names it, or, without a response, if AWS itself shows that our request
created it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ec2lab.aws.tags import BY, EXPERIMENT, RECORD, REGISTRY, from_aws
from ec2lab.registry.base import IDENTITY_FORM
from ec2lab.registry.state import ResourceState
from ec2lab.resource import ResourceType
from ec2lab.validators import NAME

PREFIX = "lab:"
CALL_FORM = r"[!-~]{1,64}"
"""Valid ClientTokens (https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html)."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The lab's tags of a resource, if the set is complete."""

    record: str
    """The call that created it."""
    registry: str
    """The registry that recorded the call."""
    by: str
    """The caller: user@host."""
    experiment: str | None

    @classmethod
    def read(cls, tags: Mapping[str, str]) -> Marks | None:
        """Read a resource's tags; None if they are not as the lab writes them."""
        found = cls(tags.get(RECORD, ""), tags.get(REGISTRY, ""), tags.get(BY, ""), tags.get(EXPERIMENT))
        whole = (
            re.fullmatch(CALL_FORM, found.record)
            and re.fullmatch(IDENTITY_FORM, found.registry)
            and re.fullmatch(r"\S.*@.*\S", found.by)
            and (found.experiment is None or re.fullmatch(NAME, found.experiment))
        )
        return found if whole else None


@dataclass(frozen=True, slots=True)
class Ownership:
    """What one registry can prove about resources in an account."""

    known: ResourceState
    registries: Collection[str]
    """The ids that the registry answers for."""

    def proves(self, resource_type: ResourceType, found: Mapping[str, Any], experiment: str | None = None) -> bool:
        """Return whether a call of this registry created a described resource, for `experiment` if given."""
        marks = Marks.read(from_aws(found.get("Tags")))
        if marks is None or marks.registry not in self.registries or experiment not in (None, marks.experiment):
            return False
        call = self.known.calls.get(marks.record)
        if call is None:
            return False
        if (resource_type.name, resource_type.id_in(found)) in call.made:
            return True
        if call.operation in resource_type.created_by:
            return not call.answered and resource_type.confirms(found, call)
        return resource_type.came_with(found, call)
