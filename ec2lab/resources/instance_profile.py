"""IAM instance profiles: they give an instance a role."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from ec2lab.aws.cloud import Cloud
from ec2lab.aws.tags import matching
from ec2lab.resource import Resource, ResourceType
from ec2lab.resources.role import PATH, described


class InstanceProfile(ResourceType):
    """A profile under the lab's own path, identified by its name as in IAM."""

    name = "instance-profile"
    tag_type = "instance-profile"
    is_global: ClassVar[bool] = True
    created_by = ("CreateInstanceProfile",)
    created_member = "InstanceProfile"
    since_member = "CreateDate"
    unique_name = "InstanceProfileName"
    deleted_by = "DeleteInstanceProfile"
    deleted_with = "InstanceProfileName"
    deleted_after = ("instance",)
    not_found_codes = ("NoSuchEntity",)
    dependency_codes = ("DeleteConflict",)

    def find(self, cloud: Cloud, region: str, filters: Sequence[Any]) -> Iterable[Mapping[str, Any]]:
        """Get the profiles that match, one by one: a list of profiles has no tags.

        https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfiles.html
        """
        return matching(_profiles(cloud), filters)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        iam, profile = cloud.iam, {"InstanceProfileName": resource.id}
        for role in iam.get_instance_profile(**profile)["InstanceProfile"]["Roles"]:
            iam.remove_role_from_instance_profile(**profile, RoleName=role["RoleName"])
        iam.delete_instance_profile(**profile)


def _profiles(cloud: Cloud) -> Iterator[Mapping[str, Any]]:
    iam = cloud.iam
    for page in iam.get_paginator("list_instance_profiles").paginate(PathPrefix=PATH):
        for listed in page["InstanceProfiles"]:
            name = listed["InstanceProfileName"]
            if found := described(partial(iam.get_instance_profile, InstanceProfileName=name)):
                yield found["InstanceProfile"]
