"""Adds ownership tags to resources, in the call that creates them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ec2lab.aws.tags import (
    BY,
    DATASET,
    DIRECT,
    EXPERIMENT,
    RECORD,
    REGISTRY,
    SHARED,
    TagLimits,
    checked,
    tags_in_request,
    to_aws,
)
from ec2lab.context import current_experiment
from ec2lab.registry.record import person
from ec2lab.resource import ResourceType

IN_IAM = ("role", "instance-profile")
INVALID_TAG_CHARS = r"[^\w +\-=.:/@]"
"""Characters that some services reject in a tag's value
(https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html)."""


@dataclass(frozen=True)
class Tagger:
    """Adds the lab's tags to every resource that a call creates, whichever script makes the call."""

    resource_types: Iterable[ResourceType]
    team: Mapping[str, str]
    """The tags in lab.toml."""
    registry: Callable[[], str]
    """Returns the id of the registry that records the call."""

    def __call__(self, operation: str, request: Mapping[str, Any], record_id: str) -> list[dict[str, Any]]:
        """Return the call's TagSpecifications; its own tags take precedence. Raises UserError for invalid ones."""
        types = dict.fromkeys(
            t for resource_type in self.resource_types for t in resource_type.taggable_types(operation, request)
        )
        given = [s["ResourceType"] for s in request.get("TagSpecifications", ())]
        limits = DIRECT if operation == "StartSnapshot" else TagLimits()
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
