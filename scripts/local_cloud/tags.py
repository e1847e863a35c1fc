"""Which tags AWS takes: https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html."""

from __future__ import annotations

import re
from collections.abc import Mapping

from scripts.local_cloud.answers import Problem
from scripts.local_cloud.call import Call

MOST_TAGS = 50
LONGEST_KEY = 128
LONGEST_VALUE = 256

TAKES_TAGS_FOR = {
    "RunInstances": ("instance", "volume", "network-interface", "spot-instances-request"),
    "CreateVolume": ("volume",),
    "CreateSnapshot": ("snapshot",),
    "CopySnapshot": ("snapshot",),
    "CreateKeyPair": ("key-pair",),
    "ImportKeyPair": ("key-pair",),
    "CreateSecurityGroup": ("security-group",),
    "CreatePlacementGroup": ("placement-group",),
}
"""Call -> what it can tag; of other calls nothing is known here."""


def check_tags(call: Call) -> None:
    """Check every tag that a call would put on, on what it makes or on what there is. Raises Problem."""
    specifications = call.numbered("TagSpecification")
    _check_kinds(call.action, [one.get("ResourceType", "") for one in specifications])
    for tags in [*specifications, call.params]:
        _check(tags)


def tags_for(call: Call, kind: str) -> dict[str, str]:
    """Return the tags that a call puts on what it makes of one kind."""
    found = {}
    for one in call.numbered("TagSpecification"):
        for name, key in one.items() if one.get("ResourceType") == kind else ():
            if re.fullmatch(r"Tag\.\d+\.Key", name):
                found[key] = one.get(f"{name.removesuffix('Key')}Value", "")
    return found


def _check_kinds(action: str, kinds: list[str]) -> None:
    if len(set(kinds)) < len(kinds):
        raise Problem("InvalidParameterValue", "Tag specification resource type must have unique values")
    for kind in kinds:
        if kind not in TAKES_TAGS_FOR.get(action, kinds):
            raise Problem(
                "InvalidParameterValue", f"'{kind}' is not a valid taggable resource type for this operation."
            )


def _check(params: Mapping[str, str]) -> None:
    keys = {name.removesuffix("Key"): key for name, key in params.items() if re.fullmatch(r"Tag\.\d+\.Key", name)}
    if len(keys) > MOST_TAGS:
        raise Problem("TagLimitExceeded", f"The maximum number of Tags for a resource has been reached: {MOST_TAGS}.")
    if len(set(keys.values())) < len(keys):
        raise Problem("InvalidParameterValue", "Duplicate tag keys specified.")
    for number, key in keys.items():
        _check_one(key, params.get(f"{number}Value", ""))


def _check_one(key: str, value: str) -> None:
    if key.lower().startswith("aws:"):
        raise Problem("InvalidParameterValue", f"Tag keys starting with 'aws:' are reserved for internal use: {key}")
    if not key:
        raise Problem("InvalidParameterValue", "Tag key cannot be empty.")
    if len(key) > LONGEST_KEY:
        raise Problem("InvalidParameterValue", f"Tag key exceeds the maximum length of {LONGEST_KEY} characters")
    if len(value) > LONGEST_VALUE:
        raise Problem("InvalidParameterValue", f"Tag value exceeds the maximum length of {LONGEST_VALUE} characters")
