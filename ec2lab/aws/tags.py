"""Tags as AWS takes them, and those by which the lab knows its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ec2lab.aws.tag_forms import is_absent
from ec2lab.errors import UserError

EXPERIMENT = "lab:experiment"
RECORD = "lab:request-id"
REGISTRY = "lab:registry"
"""Which registry asked for it, by the registry's own id."""
BY = "lab:created-by"
"""Who asked for it: user@host."""
SHARED = "lab:shared"
"""On what belongs to the whole lab and outlives experiments, such as a region's security group."""
DATASET = "lab:dataset"
VERSION = "lab:version"
BYTES = "lab:bytes"
"""On a dataset's snapshot: how much it holds."""
DELETION_POLICY = "lab:deletion-policy"
"""On a volume that is not deleted with its instance: "retain", or "snapshot" and the dataset that it becomes a version
of. On an instance the same for each of its volumes, with the device after the key: lab:deletion-policy:sdf. Where
instances may read their tags, no key can have a `/` or a space in it
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html)."""
KEPT = "lab:retained"
"""On a volume that outlives its instance: since when, and after whose teardown."""
KEPT_UNTIL, KEPT_BECAUSE = "lab:retain-until", "lab:retain-reason"
"""On such a volume: the last day on which that is no complaint, and why it was kept."""
MOUNTED, INSTANCE = "lab:mount", "lab:instance"
"""On a volume that was made for an instance that ran already: where it is mounted, and on which."""
TTL, IDLE = "lab:ttl", "lab:idle"
"""On an instance: how long it lives from its launch, and how long it may be idle. Lengths and no moments, as a request
that is repeated must be the same."""
EXPIRES_AT = "lab:expires-at"
"""On an instance whose end was set again: the moment (RFC 3339), or "never"."""
DATA = "lab:datasets"
"""On an instance: which datasets are on it, for people who look at it in the AWS console."""

ALONE = ("role", "instance-profile", "snapshot")
"""What is made by calls that take its tags without TagSpecifications: IAM's, and StartSnapshot."""

Tags = list[dict[str, str]]
DEV = "/dev/"


def of_device(key: str, device: str) -> str:
    """Return the key of a tag that speaks of one device of an instance: lab:deletion-policy:sdf."""
    return f"{key}:{device.removeprefix(DEV)}"


def device_in(tag: str, key: str) -> str | None:
    """Return which device a tag of an instance speaks of; None where it is another tag.

    Instances launched by earlier versions have the device's whole path after the key: lab:deletion-policy/dev/sdf.
    """
    return next((DEV + tag.removeprefix(start) for start in (f"{key}:", key + DEV) if tag.startswith(start)), None)


def to_aws(tags: Mapping[str, str]) -> Tags:
    """Return tags in the form that AWS wants them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def from_aws(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Return AWS's list of tags as a dictionary, without those of the lab's whose value nobody could read."""
    named = ((tag["Key"], tag.get("Value", "")) for tag in tags or ())
    return {key: value for key, value in named if not is_absent(key, value)}


def tag_specifications(tags: Mapping[str, str], *resource_types: str) -> list[dict[str, Any]]:
    """Return TagSpecifications that put the same tags on each type of resource that a call creates."""
    return [{"ResourceType": resource_type, "Tags": to_aws(tags)} for resource_type in resource_types]


def tags_in_request(request: Mapping[str, Any], resource_type: str) -> dict[str, str]:
    """Return the tags that a call's request puts on `resource_type`; some put theirs on the one thing they make."""
    found = from_aws(request["Tags"]) if resource_type in ALONE and "Tags" in request else {}
    for specification in request.get("TagSpecifications", ()):
        if specification.get("ResourceType") == resource_type:
            found |= from_aws(specification.get("Tags"))
    return found


@dataclass(frozen=True, slots=True)
class TagLimits:
    """How many characters a tag may have."""

    key: int = 128
    value: int = 256


DIRECT = TagLimits(127, 255)
"""Of the EBS direct APIs (https://docs.aws.amazon.com/ebs/latest/APIReference/API_Tag.html)."""


def checked(tags: dict[str, str], limits: TagLimits = TagLimits()) -> dict[str, str]:
    """Return tags that AWS will take. Raises UserError.

    At most 50, keys up to 128 and values up to 256 characters, no key beginning with `aws:`
    (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions).
    """
    for key, value in tags.items():
        if key.lower().startswith("aws:") or not 1 <= len(key) <= limits.key or len(value) > limits.value:
            raise UserError(
                f"lab.toml: tags: {key!r} = {value[:40]!r}: AWS takes keys of 1 to {limits.key} characters "
                f"that do not begin with aws:, and values of up to {limits.value} here"
            )
    if len(tags) > 50:  # noqa: PLR2004
        raise UserError(f"lab.toml: tags: {len(tags)} tags on one resource, with the lab's own; AWS takes 50")
    return tags


def matching(items: Iterable[Mapping[str, Any]], filters: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the items, with their Tags, that match all filters: `tag:KEY` by its value, `tag-key` by any key."""
    for item in items:
        tags = from_aws(item.get("Tags"))
        if all(_matches(tags, wanted["Name"], wanted["Values"]) for wanted in filters):
            yield item


def _matches(tags: Mapping[str, str], name: str, values: Sequence[str]) -> bool:
    if name == "tag-key":
        return any(fnmatchcase(key, value) for key in tags for value in values)
    key = name.removeprefix("tag:")
    return key in tags and any(fnmatchcase(tags[key], value) for value in values)
