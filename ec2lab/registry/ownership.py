"""Ownership of resources: the tags that the creating call adds, and the proof that a resource is ours.

Tags alone are copied by other tools, and written by other people. The console's "Launch more like this", launch
templates, AWS Backup and snapshot policies copy all tags. A resource is ours if it has our tags and a recorded response
names it, or, without a response, if AWS itself shows that our request created it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ec2lab.aws.tags import (
    BY,
    DATASET,
    DIRECT_LIMITS,
    EXPERIMENT,
    LIMITS,
    RECORD,
    REGISTRY,
    SHARED,
    checked,
    from_aws,
    tags_in_request,
    to_aws,
)
from ec2lab.context import current_experiment
from ec2lab.registry.base import IDENTITY_FORM
from ec2lab.registry.record import person
from ec2lab.registry.state import ResourceState
from ec2lab.resource import ResourceType
from ec2lab.validators import NAME

IN_IAM = ("role", "instance-profile", "topic")
INVALID_TAG_CHARS = r"[^\w +\-=.:/@]"
"""Characters that some services reject in a tag's value
(https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html)."""


@dataclass(frozen=True)
class Tagger:
    """Adds the lab's tags to every created resource, whichever script makes the call."""

    resource_types: Iterable[ResourceType]
    team: Mapping[str, str]
    registry: Callable[[], str]  # returns the id of the registry that records the call

    def __call__(self, operation: str, request: Mapping[str, Any], record_id: str) -> list[dict[str, Any]]:
        """Return the call's TagSpecifications; its own tags take precedence. Raises UserError for invalid ones."""
        types = dict.fromkeys(
            t for resource_type in self.resource_types for t in resource_type.taggable_types(operation, request)
        )
        given = [s["ResourceType"] for s in request.get("TagSpecifications", ())]
        limits = DIRECT_LIMITS if operation == "StartSnapshot" else LIMITS
        tags = {t: self._tags(tags_in_request(request, t), record_id) for t in dict.fromkeys([*given, *types])}
        return [
            {"ResourceType": t, "Tags": to_aws(checked(_as_iam_takes(some) if t in IN_IAM else some, limits))}
            for t, some in tags.items()
        ]

    def _tags(self, given: Mapping[str, str], record_id: str) -> dict[str, str]:
        whose = {RECORD: record_id, REGISTRY: self.registry()}
        ours = {BY: re.sub(INVALID_TAG_CHARS, "_", person())[:256]}
        # A dataset belongs to the lab, even if an experiment's teardown creates a version.
        if (experiment := current_experiment()) and SHARED not in given and DATASET not in given:
            ours |= {"Name": experiment, EXPERIMENT: experiment}
        return {**self.team, **ours, **given, **whose}


def _as_iam_takes(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags without characters that IAM rejects; the tags in lab.toml are written for EC2."""
    return {re.sub(INVALID_TAG_CHARS, "_", key): re.sub(INVALID_TAG_CHARS, "_", value) for key, value in tags.items()}


PREFIX = "lab:"
CALL_FORM = r"[!-~]{1,64}"
"""Valid ClientTokens (https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html)."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The lab's tags of a resource, if the set is complete."""

    record: str  # the call that created it
    registry: str  # the registry that recorded the call
    by: str  # the caller: user@host
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
    registries: Collection[str]  # the registry ids that count as its own

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
