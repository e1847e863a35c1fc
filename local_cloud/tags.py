"""Valid tags: https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html."""

from __future__ import annotations

import re
from collections.abc import Mapping

from local_cloud.request import Call
from local_cloud.responses import Problem

MOST_TAGS = 50
LONGEST_KEY = 128
LONGEST_VALUE = 256

TAKES_TAGS_FOR = {  # call -> what it can tag; other calls are unknown here
    "RunInstances": ("instance", "volume", "network-interface", "spot-instances-request"),
    "CreateVolume": ("volume",),
    "CreateSnapshot": ("snapshot",),
    "CopySnapshot": ("snapshot",),
    "CreateKeyPair": ("key-pair",),
    "ImportKeyPair": ("key-pair",),
    "CreateSecurityGroup": ("security-group",),
    "CreatePlacementGroup": ("placement-group",),
}


NOT_IN_XML = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
"""What no response could hold (https://www.w3.org/TR/xml/#charsets)."""

DIRECT_KEY, DIRECT_VALUE = 127, 255
"""Of the EBS direct APIs (https://docs.aws.amazon.com/ebs/latest/APIReference/API_Tag.html)."""
IAM_VALUE = r"[\w\s.:/=+\-@]*"  # https://docs.aws.amazon.com/IAM/latest/APIReference/API_Tag.html


def check_direct_tags(tags: list[dict[str, str]]) -> None:
    for tag in tags:
        if len(tag["Key"]) > DIRECT_KEY or len(tag.get("Value", "")) > DIRECT_VALUE:
            raise Problem(
                "ValidationException",
                f"Tag keys have at most {DIRECT_KEY} characters and tag values at most {DIRECT_VALUE}.",
            )


def check_iam_tags(call: Call) -> None:
    """Check the tags of an IAM call, whose values allow fewer characters than EC2's. Raises Problem."""
    for number, tag in enumerate(call.numbered("Tags.member"), start=1):
        for name in ("Key", "Value"):
            if not re.fullmatch(IAM_VALUE, tag.get(name, "")):
                raise Problem(
                    "ValidationError",
                    f"1 validation error detected: Value at 'tags.{number}.member.{name.lower()}' failed to satisfy "
                    "constraint: Member must satisfy regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*",
                )


def check_tags(call: Call) -> None:
    """Check every tag in a call, on new and existing resources. Raises Problem."""
    specifications = call.numbered("TagSpecification")
    _check_kinds(call.action, [one.get("ResourceType", "") for one in specifications])
    for tags in [*specifications, call.params]:
        _check(tags)


def tags_for(call: Call, kind: str) -> dict[str, str]:
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
    if found := re.search(NOT_IN_XML, key + value):
        raise Problem("InvalidParameterValue", f"Tag has a character that is not valid: {found[0]!a}")
    if len(key) > LONGEST_KEY:
        raise Problem("InvalidParameterValue", f"Tag key exceeds the maximum length of {LONGEST_KEY} characters")
    if len(value) > LONGEST_VALUE:
        raise Problem("InvalidParameterValue", f"Tag value exceeds the maximum length of {LONGEST_VALUE} characters")
