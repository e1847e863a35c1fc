"""EC2 key pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ec2lab.aws.cloud import Cloud
from ec2lab.resource import ResourceType


class KeyPair(ResourceType):
    """An EC2 key pair (members' own keys are in user data and need none)."""

    name = "key-pair"
    tag_type = "key-pair"
    created_by = ("CreateKeyPair", "ImportKeyPair")
    since_member = "CreateTime"
    unique_name = "KeyName"
    deleted_by = "DeleteKeyPair"
    deleted_with = "KeyPairId"
    id_filter = "key-pair-id"
    not_found_codes = ("InvalidKeyPair.NotFound",)

    def details_in(self, found: Mapping[str, Any]) -> dict[str, str]:
        return {"name": str(found["KeyName"])}

    def find(self, cloud: Cloud, region: str, filters: Sequence[Any]) -> Iterable[Mapping[str, Any]]:
        return list(cloud.ec2(region).describe_key_pairs(Filters=filters)["KeyPairs"])
