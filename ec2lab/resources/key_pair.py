"""EC2 key pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ec2lab.aws.cloud import Cloud
from ec2lab.resource import Resource, ResourceType, as_text

if TYPE_CHECKING:
    from ec2lab.registry.call import Call


class KeyPair(ResourceType):
    """An EC2 key pair (members' own keys are in user data and need none)."""

    name = "key-pair"
    tag_type = "key-pair"
    created_by = ("CreateKeyPair", "ImportKeyPair")
    deleted_by = "DeleteKeyPair"
    deleted_with = "KeyPairId"
    id_filter = "key-pair-id"
    not_found_codes = ("InvalidKeyPair.NotFound",)

    def created_in(self, response: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        """Return the pair in a CreateKeyPair or ImportKeyPair response."""
        return [response]

    def id_in(self, found: Mapping[str, Any]) -> str:
        """Return the key pair id."""
        return str(found["KeyPairId"])

    def details_in(self, found: Mapping[str, Any]) -> dict[str, str]:
        """Return its name."""
        return {"name": str(found["KeyName"])}

    def since_in(self, found: Mapping[str, Any]) -> str:
        """Return its creation time."""
        return as_text(found.get("CreateTime"))

    def confirms(self, found: Mapping[str, Any], call: Call) -> bool:
        """Say whether it has the requested name, which is unique."""
        return bool(found["KeyName"] == call.request.get("KeyName"))

    def find(self, cloud: Cloud, region: str, filters: Sequence[Any]) -> Iterable[Mapping[str, Any]]:
        """Describe the pairs that match."""
        return list(cloud.ec2(region).describe_key_pairs(Filters=filters)["KeyPairs"])

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        """Delete it."""
        cloud.ec2(resource.region).delete_key_pair(KeyPairId=resource.id)
