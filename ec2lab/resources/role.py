"""IAM roles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from ec2lab.aws.cloud import Cloud
from ec2lab.aws.errors import ignoring
from ec2lab.aws.tags import matching
from ec2lab.resource import Resource, ResourceType

PATH = "/ec2-lab/"  # the path of all labs' roles and profiles in an account, for policies and listings


def log_profile(lab: str) -> str:
    """Return the name of the instance profile that `make setup-aws` creates for a lab's logs."""
    return f"ec2-lab-{lab}-logs"


class Role(ResourceType):
    """A role under the lab's own path, identified by its name as in IAM."""

    name = "role"
    tag_type = "role"
    is_global: ClassVar[bool] = True
    created_by = ("CreateRole",)
    created_member = "Role"
    since_member = "CreateDate"
    unique_name = "RoleName"
    deleted_by = "DeleteRole"
    deleted_with = "RoleName"
    deleted_after = ("instance-profile",)
    not_found_codes = ("NoSuchEntity",)
    dependency_codes = ("DeleteConflict", "ConcurrentModification")

    def find(self, cloud: Cloud, region: str, filters: Sequence[Any]) -> Iterable[Mapping[str, Any]]:
        """Get the roles that match, one by one: a list of roles has no tags.

        https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html
        """
        return matching(_roles(cloud), filters)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        """Delete it with its inline policies; attached ones are detached."""
        iam, role = cloud.iam, {"RoleName": resource.id}
        for page in iam.get_paginator("list_role_policies").paginate(**role):
            for policy in page["PolicyNames"]:
                iam.delete_role_policy(**role, PolicyName=policy)
        for page in iam.get_paginator("list_attached_role_policies").paginate(**role):
            for policy in page["AttachedPolicies"]:
                iam.detach_role_policy(**role, PolicyArn=policy["PolicyArn"])
        iam.delete_role(**role)


def _roles(cloud: Cloud) -> Iterator[Mapping[str, Any]]:
    iam = cloud.iam
    for page in iam.get_paginator("list_roles").paginate(PathPrefix=PATH):
        for listed in page["Roles"]:
            if found := described(partial(iam.get_role, RoleName=listed["RoleName"])):
                yield found["Role"]


def described(ask: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return IAM's description of a resource; None where it does not exist."""
    with ignoring("NoSuchEntity"):
        return ask()
    return None
