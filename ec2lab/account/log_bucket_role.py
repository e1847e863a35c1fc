"""The role and instance profile with which instances upload logs to the lab's bucket, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ec2lab.account.region_setup import Step, expect_ours
from ec2lab.aws.errors import ignoring
from ec2lab.aws.tags import SHARED, to_aws
from ec2lab.errors import UserError
from ec2lab.polling import wait_until
from ec2lab.resources.role import PATH, described, log_profile
from ec2lab.session import Session

POLL = 0.5, 5.0
IAM_PROPAGATION_SECONDS = 15.0
"""Seconds in which RunInstances may call a new profile's name invalid: IAM changes take time
(https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency)."""
LONGEST = 64  # characters of a role's name (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html)
EXISTS = "EntityAlreadyExists"  # an earlier try created it, or another setup just did
POLICY = "deliver-logs"
TRUST: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def policy(partition: str, address: str | None, topic: str | None = None, *, restores: bool = False) -> dict[str, Any]:
    """Return what an instance needs to put objects below `s3://bucket/prefix` and publish to a topic, and no more.

    One that `restores` outputs needs to read there too, and to abort uploads.
    """
    statements: list[dict[str, Any]] = []
    if address:
        place = address.removeprefix("s3://").rstrip("/")
        resource = f"arn:{partition}:s3:::{place}/*"
        statements.append({"Effect": "Allow", "Action": "s3:PutObject", "Resource": resource})
        if restores:
            bucket, _, prefix = place.partition("/")
            below = {"StringLike": {"s3:prefix": f"{prefix}/*" if prefix else "*"}}
            listed = {"Action": "s3:ListBucket", "Resource": f"arn:{partition}:s3:::{bucket}", "Condition": below}
            # Parts of an upload are billed until it is aborted.
            actions = ("s3:GetObject", "s3:AbortMultipartUpload")
            statements += [{"Effect": "Allow", "Action": action, "Resource": resource} for action in actions]
            statements.append({"Effect": "Allow", **listed})
    if topic:
        statements.append({"Effect": "Allow", "Action": "sns:Publish", "Resource": topic})
    return {"Version": "2012-10-17", "Statement": statements}


@dataclass(frozen=True)
class LogBucketRole:
    """The IAM resources for one lab's logs."""

    session: Session
    bucket: str | None  # s3://bucket/prefix
    topic: str | None = None  # the ARN of the topic that instances publish to
    restores: bool = False  # whether experiments have outputs, which an instance restores after an interruption

    @property
    def role(self) -> str:
        """The role's name. Raises UserError where it would be too long for IAM."""
        name = f"ec2-lab-{self.session.lab.name}-log-writer"
        if len(name) > LONGEST:
            raise UserError(
                f"lab.toml: name: {name!r} is not a valid name for an IAM role (at most {LONGEST} characters)"
            )
        return name

    @property
    def profile(self) -> str:
        """The profile's name, for experiments' instance_profile."""
        return log_profile(self.session.lab.name)

    @property
    def policy(self) -> dict[str, Any]:
        return policy(self.session.cloud.partition, self.bucket, self.topic, restores=self.restores)

    def lacking(self) -> list[Step]:
        """Return what is to be created, in order. Raises UserError where one exists that is not the lab's."""
        iam, role, profile = self.session.cloud.iam, self._role(), self._profile()
        steps = []
        if role is None:
            steps.append(Step(f"the role {self.role}, for EC2's instances", self._make_role))
        if role is None or self._present_policy() != self.policy:
            allowed = " and ".join(f"{one['Action']} on {one['Resource']}" for one in self.policy["Statement"])
            put = partial(
                iam.put_role_policy, RoleName=self.role, PolicyName=POLICY, PolicyDocument=json.dumps(self.policy)
            )
            steps.append(Step(f"its policy: {allowed}, and nothing else", put))
        if profile is None:
            steps.append(Step(f"the instance profile {self.profile}", self._make_profile))
        if profile is None or self.role not in {member["RoleName"] for member in profile["Roles"]}:
            steps.append(Step("that role in it", self._add_role))
        return steps

    def _role(self) -> Mapping[str, Any] | None:
        found = described(partial(self.session.cloud.iam.get_role, RoleName=self.role))
        return self._ours("role", found["Role"]) if found else None

    def _profile(self) -> Mapping[str, Any] | None:
        found = described(partial(self.session.cloud.iam.get_instance_profile, InstanceProfileName=self.profile))
        return self._ours("instance profile", found["InstanceProfile"]) if found else None

    def _ours(self, what: str, found: Mapping[str, Any]) -> Mapping[str, Any]:
        expect_ours(self.session, f"IAM: there is a {what} {found['Arn']}", found.get("Tags"))
        return found

    def _present_policy(self) -> Mapping[str, Any] | None:
        asked = partial(self.session.cloud.iam.get_role_policy, RoleName=self.role, PolicyName=POLICY)
        found = described(asked)
        document: Mapping[str, Any] | None = found["PolicyDocument"] if found else None
        return document

    def _make_role(self) -> None:
        with ignoring(EXISTS):
            self.session.cloud.iam.create_role(
                Path=PATH, RoleName=self.role, AssumeRolePolicyDocument=json.dumps(TRUST), Tags=self._tags(),
                Description=f"By this role instances of ec2-lab {self.session.lab.name} deliver their logs.",
            )  # fmt: skip

    def _make_profile(self) -> None:
        with ignoring(EXISTS):
            self.session.cloud.iam.create_instance_profile(
                Path=PATH, InstanceProfileName=self.profile, Tags=self._tags()
            )

    def _add_role(self) -> None:
        # A profile has at most one role: another one in ours was added by hand.
        profile = {"InstanceProfileName": self.profile}
        iam = self.session.cloud.iam
        for other in iam.get_instance_profile(**profile)["InstanceProfile"]["Roles"]:
            if other["RoleName"] != self.role:
                iam.remove_role_from_instance_profile(**profile, RoleName=other["RoleName"])
        with ignoring(EXISTS, "LimitExceeded"):  # it has a role: ours, by another setup
            iam.add_role_to_instance_profile(**profile, RoleName=self.role)

    def _tags(self) -> list[dict[str, str]]:
        return to_aws({SHARED: self.session.lab.name})

    def settle(self) -> None:
        """Wait until IAM shows everything, and then until EC2 may be expected to know it."""
        known = self.session.cloud.consistency_seconds
        if not wait_until(lambda: not self.lacking(), self.session.pause, POLL, known):
            raise UserError("IAM does not show the new resources yet; run the command again")
        self.session.pause(min(IAM_PROPAGATION_SECONDS, known))

    def manual_commands(self) -> list[str]:
        """Return the commands to create the same by hand, for somebody with the permissions."""
        tag = f"--tags 'Key={SHARED},Value={self.session.lab.name}'"
        role, profile = f"--role-name {self.role}", f"--instance-profile-name {self.profile}"
        return [
            f"aws iam create-role --path {PATH} {role} {tag} --assume-role-policy-document '{json.dumps(TRUST)}'",
            f"aws iam put-role-policy {role} --policy-name {POLICY} --policy-document '{json.dumps(self.policy)}'",
            f"aws iam create-instance-profile --path {PATH} {profile} {tag}",
            f"aws iam add-role-to-instance-profile {profile} {role}",
        ]
