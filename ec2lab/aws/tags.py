"""Tags in AWS's format, and the lab's own tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from ec2lab.aws.tag_forms import is_absent
from ec2lab.errors import UserError

EXPERIMENT = "lab:experiment"
RECORD = "lab:request-id"
REGISTRY = "lab:registry"  # the id of the registry that recorded the creation
BY = "lab:created-by"  # the caller: user@host
SHARED = "lab:shared"  # on resources of the whole lab that outlive experiments, such as a region's security group
DATASET = "lab:dataset"
VERSION = "lab:version"
BYTES = "lab:bytes"  # on a dataset's snapshot: the size of its content
DELETION_POLICY = "lab:deletion-policy"
"""On a volume that is not deleted with its instance: "retain", or "snapshot" and the dataset that gets a new version.
On an instance, the same for each of its volumes, with the device after the key: lab:deletion-policy:sdf. If instances
may read their tags, no key can have a `/` or a space
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html)."""
RETAINED = "lab:retained"  # on a volume that outlives its instance: when, and by whose teardown
RETAIN_UNTIL, RETAIN_REASON = "lab:retain-until", "lab:retain-reason"
"""On such a volume: the last day of its retention, and the reason."""
MOUNTED, INSTANCE = "lab:mount", "lab:instance"
"""On a volume created for a running instance: its mount point, and the instance."""
TTL, IDLE = "lab:ttl", "lab:idle"
"""On an instance: its ttl from the launch, and its idle_timeout. They are durations, not times, because a repeated
request must be identical."""
EXPIRES_AT = "lab:expires-at"  # on an instance whose expiry was changed: the time (RFC 3339), or "never"
DATA = "lab:datasets"  # on an instance: its datasets, for people who look at it in the AWS console

ALONE = ("role", "instance-profile", "snapshot", "topic")
"""Created by calls that take tags without TagSpecifications: IAM's, and StartSnapshot."""

Tags = list[dict[str, str]]
DEV = "/dev/"


def of_device(key: str, device: str) -> str:
    """Return the key of a tag for one device of an instance: lab:deletion-policy:sdf."""
    return f"{key}:{device.removeprefix(DEV)}"


def device_in(tag: str, key: str) -> str | None:
    """Return the device of an instance's tag; None for another tag.

    Instances launched by earlier versions have the device's path after the key: lab:deletion-policy/dev/sdf.
    """
    return next((DEV + tag.removeprefix(start) for start in (f"{key}:", key + DEV) if tag.startswith(start)), None)


def to_aws(tags: Mapping[str, str]) -> Tags:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def from_aws(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Return AWS's list of tags as a dictionary, without the lab's tags that count as absent."""
    named = ((tag["Key"], tag.get("Value", "")) for tag in tags or ())
    return {key: value for key, value in named if not is_absent(key, value)}


def tag_specifications(tags: Mapping[str, str], *resource_types: str) -> list[dict[str, Any]]:
    """Return TagSpecifications with the same tags for each type of resource that a call creates."""
    return [{"ResourceType": resource_type, "Tags": to_aws(tags)} for resource_type in resource_types]


def tags_in_request(request: Mapping[str, Any], resource_type: str) -> dict[str, str]:
    """Return a request's tags for `resource_type`; some operations have tags only for their one resource."""
    found = from_aws(request["Tags"]) if resource_type in ALONE and "Tags" in request else {}
    for specification in request.get("TagSpecifications", ()):
        if specification.get("ResourceType") == resource_type:
            found |= from_aws(specification.get("Tags"))
    return found


LIMITS, DIRECT_LIMITS = (128, 256), (127, 255)
"""Characters of a key and of a value, and those that the EBS direct APIs take
(https://docs.aws.amazon.com/ebs/latest/APIReference/API_Tag.html)."""


def checked(tags: dict[str, str], limits: tuple[int, int] = LIMITS) -> dict[str, str]:
    """Return tags that AWS accepts. Raises UserError.

    At most 50, keys up to 128 and values up to 256 characters, no key that begins with `aws:`
    (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions).
    """
    longest_key, longest_value = limits
    for key, value in tags.items():
        if key.lower().startswith("aws:") or not 1 <= len(key) <= longest_key or len(value) > longest_value:
            raise UserError(
                f"lab.toml: tags: {key!r} = {value[:40]!r}: AWS allows keys of 1 to {longest_key} characters "
                f"that do not begin with aws:, and values of up to {longest_value} here"
            )
    if len(tags) > 50:  # noqa: PLR2004
        raise UserError(f"lab.toml: tags: {len(tags)} tags on one resource, with the lab's own; AWS allows 50")
    return tags


def matching(items: Iterable[Mapping[str, Any]], filters: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the items whose Tags match all filters: `tag:KEY` by its value, `tag-key` by any key."""
    for item in items:
        tags = from_aws(item.get("Tags"))
        if all(_matches(tags, wanted["Name"], wanted["Values"]) for wanted in filters):
            yield item


def _matches(tags: Mapping[str, str], name: str, values: Sequence[str]) -> bool:
    if name == "tag-key":
        return any(fnmatchcase(key, value) for key in tags for value in values)
    key = name.removeprefix("tag:")
    return key in tags and any(fnmatchcase(tags[key], value) for value in values)
