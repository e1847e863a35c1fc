"""A dry run of each call of EC2 that the lab makes: what is asked, and what the answer says of the permission.

EC2 answers a dry run with DryRunOperation where the call is allowed, and with UnauthorizedOperation where not
(https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html). docs/iam-policy.json allows most changes
only of what carries the lab's tag, so that a call on a thing that does not exist, and so has no tag, is refused also to
those who may do all they need: only an answer about the lab's own things, or about what is to be made, says no for
certain. Any other code (InvalidInstanceID.NotFound) says neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from threading import Lock
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from ec2lab.aws.cloud import Cloud
from ec2lab.aws.dry_run import WOULD_WORK
from ec2lab.aws.region_queries import NoResponse, Query
from ec2lab.aws.tags import KEPT

NOT_ALLOWED = "UnauthorizedOperation"
MADE_UP = {
    "instance": "i-0123456789abcdef0", "volume": "vol-0123456789abcdef0", "snapshot": "snap-0123456789abcdef0",
    "security-group": "sg-0123456789abcdef0", "placement-group": "ec2-lab-doctor",
    "key-pair": "key-0123456789abcdef0", "address": "eipalloc-0123456789abcdef0",
    "zone": "none",
}  # fmt: skip
"""ResourceType -> an id that nothing has, for who owns none of the kind."""
SSH = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "192.0.2.1/32"}]}]
"""An address for documentation (RFC 5737)."""
TRAFFIC = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "192.0.2.1/32"}]}]

Ids = Mapping[str, str]
Request = Callable[[Ids, str], Mapping[str, Any]]


class Answer(Enum):
    """What a dry run says."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    UNCLEAR = "unclear"
    CARRIED_OUT = "carried out"
    """It was no dry run."""
    NOT_MADE = "not made"
    """Another was carried out before."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """What is asked, given ids by kind and the region; and of which kinds the ids must be the lab's own."""

    request: Request
    on: tuple[str, ...] = ()


DRY_RUNS: Mapping[str, DryRun] = {
    "AttachVolume": DryRun(
        lambda ids, _: {"Device": "/dev/sdz", "InstanceId": ids["instance"], "VolumeId": ids["volume"]},
        ("instance", "volume"),
    ),
    "AuthorizeSecurityGroupEgress": DryRun(
        lambda ids, _: {"GroupId": ids["security-group"], "IpPermissions": TRAFFIC}, ("security-group",)
    ),
    "AuthorizeSecurityGroupIngress": DryRun(
        lambda ids, _: {"GroupId": ids["security-group"], "IpPermissions": SSH}, ("security-group",)
    ),
    "CopySnapshot": DryRun(
        lambda ids, region: {"SourceRegion": region, "SourceSnapshotId": ids["snapshot"], "Encrypted": True},
        ("snapshot",),
    ),
    "CreatePlacementGroup": DryRun(lambda *_: {"GroupName": "ec2-lab-doctor", "Strategy": "cluster"}),
    "CreateSecurityGroup": DryRun(lambda *_: {"GroupName": "ec2-lab-doctor", "Description": "a dry run of ec2-lab"}),
    "CreateSnapshot": DryRun(lambda ids, _: {"VolumeId": ids["volume"]}, ("volume",)),
    "CreateTags": DryRun(
        lambda ids, _: {"Resources": [ids["volume"]], "Tags": [{"Key": KEPT, "Value": "a dry run"}]}, ("volume",)
    ),
    "CreateVolume": DryRun(
        lambda ids, _: {"AvailabilityZone": ids["zone"], "Size": 1, "VolumeType": "gp3", "Encrypted": True}, ("zone",)
    ),
    "DeleteKeyPair": DryRun(lambda ids, _: {"KeyPairId": ids["key-pair"]}, ("key-pair",)),
    "DeletePlacementGroup": DryRun(lambda ids, _: {"GroupName": ids["placement-group"]}, ("placement-group",)),
    "DeleteSecurityGroup": DryRun(lambda ids, _: {"GroupId": ids["security-group"]}, ("security-group",)),
    "DeleteSnapshot": DryRun(lambda ids, _: {"SnapshotId": ids["snapshot"]}, ("snapshot",)),
    "DeleteVolume": DryRun(lambda ids, _: {"VolumeId": ids["volume"]}, ("volume",)),
    "DetachVolume": DryRun(lambda ids, _: {"VolumeId": ids["volume"]}, ("volume",)),
    "GetConsoleOutput": DryRun(lambda ids, _: {"InstanceId": ids["instance"]}, ("instance",)),
    "ModifyInstanceAttribute": DryRun(
        lambda ids, _: {
            "InstanceId": ids["instance"],
            "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"DeleteOnTermination": True}}],
        },
        ("instance",),
    ),
    "ReleaseAddress": DryRun(lambda ids, _: {"AllocationId": ids["address"]}, ("address",)),
    "RevokeSecurityGroupIngress": DryRun(
        lambda ids, _: {"GroupId": ids["security-group"], "IpPermissions": SSH}, ("security-group",)
    ),
    "StartInstances": DryRun(lambda ids, _: {"InstanceIds": [ids["instance"]]}, ("instance",)),
    "StopInstances": DryRun(lambda ids, _: {"InstanceIds": [ids["instance"]]}, ("instance",)),
    "TerminateInstances": DryRun(lambda ids, _: {"InstanceIds": [ids["instance"]]}, ("instance",)),
}
"""All but RunInstances, whose request is an experiment's own; descriptions are asked for without anything."""


@dataclass(frozen=True, slots=True)
class DryRunResult:
    """What came of a dry run."""

    answer: Answer
    code: str = ""
    message: str = ""
    made: tuple[str, ...] = ()
    """The instances that run since, where it was carried out."""


@dataclass
class Trials:
    """All dry runs of one visit: the first that is carried out is the last."""

    cloud: Cloud
    in_time: Callable[[Query[Any]], Any]
    """Makes a call, not for longer than a region may take. Raises NoResponse."""
    over: bool = False
    _silent: dict[str, NoResponse] = field(default_factory=dict)
    """The regions that did not respond: what they were asked for may be under way there, so that no more is."""
    _alone: Lock = field(default_factory=Lock)
    """LockHeld for those that could do harm, so that no second one is on its way when the first does."""

    def tried(self, region: str, operation: str, own: Ids) -> DryRunResult:
        """Ask for a dry run of an operation on the lab's own things where there are some, else on made-up ones."""
        known = DRY_RUNS.get(operation)
        if known is None:
            return self._asked(region, operation, {}, is_clear=True)
        request, is_clear = known.request({**MADE_UP, **own}, region), set(known.on) <= set(own)
        if not known.on or set(known.on) & set(own):
            return self.dry_run_request(region, operation, request, is_clear=is_clear)
        return self._asked(region, operation, request, is_clear=is_clear)

    def dry_run_request(
        self, region: str, operation: str, request: Mapping[str, Any], *, is_clear: bool = True
    ) -> DryRunResult:
        """Ask for a dry run of a request; `is_clear` says whether a refusal can only mean that it is not allowed."""
        with self._alone:
            return self._asked(region, operation, request, is_clear=is_clear)

    def _asked(self, region: str, operation: str, request: Mapping[str, Any], *, is_clear: bool) -> DryRunResult:
        if self.over:
            return DryRunResult(Answer.NOT_MADE)
        if region in self._silent:
            raise self._silent[region]

        def send() -> Mapping[str, Any]:
            done: Mapping[str, Any] = getattr(self.cloud.ec2(region), xform_name(operation))(**request, DryRun=True)
            self.over = True
            return done

        try:
            done = self.in_time(send)
        except NoResponse as silent:
            self._silent[region] = NoResponse(f"{region}: {silent}")
            raise self._silent[region] from silent
        except ClientError as refusal:
            error = refusal.response["Error"]
            code, message = error.get("Code", ""), error.get("Message", "")
            if code == WOULD_WORK:
                return DryRunResult(Answer.ALLOWED)
            refused = code == NOT_ALLOWED and is_clear
            return DryRunResult(Answer.REFUSED if refused else Answer.UNCLEAR, code, message)
        return DryRunResult(Answer.CARRIED_OUT, made=tuple(one["InstanceId"] for one in done.get("Instances", ())))
