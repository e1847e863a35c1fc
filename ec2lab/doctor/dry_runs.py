"""Calls that try a permission and change nothing: dry runs, and reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from threading import Lock
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from ec2lab.aws.authorization import WOULD_WORK
from ec2lab.aws.cloud import Cloud
from ec2lab.aws.error_codes import ACCESS_DENIED_CODES
from ec2lab.aws.errors import AWS_ERRORS
from ec2lab.aws.region_queries import NoResponse, Query
from ec2lab.aws.tags import RETAINED
from ec2lab.costs.aws_prices import pricing_region
from ec2lab.doctor.context import DoctorContext

NOT_ALLOWED = "UnauthorizedOperation"
MADE_UP = {  # ResourceType -> an unused id, for those who own none of the type
    "instance": "i-0123456789abcdef0", "volume": "vol-0123456789abcdef0", "snapshot": "snap-0123456789abcdef0",
    "security-group": "sg-0123456789abcdef0", "placement-group": "ec2-lab-doctor",
    "key-pair": "key-0123456789abcdef0", "address": "eipalloc-0123456789abcdef0",
    "zone": "none",
}  # fmt: skip
SSH = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "192.0.2.1/32"}]}]
"""A documentation address (RFC 5737)."""
TRAFFIC = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "192.0.2.1/32"}]}]

Ids = Mapping[str, str]


class Answer(Enum):
    """The meaning of a dry run's response."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNCLEAR = "unclear"
    CARRIED_OUT = "carried out"
    NOT_MADE = "not made"
    """Another one was executed before."""


DRY_RUNS: Mapping[str, Mapping[str, Any]] = {
    "AttachVolume": {"Device": "/dev/sdz", "InstanceId": "{instance}", "VolumeId": "{volume}"},
    "AuthorizeSecurityGroupEgress": {"GroupId": "{security-group}", "IpPermissions": TRAFFIC},
    "AuthorizeSecurityGroupIngress": {"GroupId": "{security-group}", "IpPermissions": SSH},
    "CopySnapshot": {"SourceRegion": "{region}", "SourceSnapshotId": "{snapshot}", "Encrypted": True},
    "CreatePlacementGroup": {"GroupName": "ec2-lab-doctor", "Strategy": "cluster"},
    "CreateSecurityGroup": {"GroupName": "ec2-lab-doctor", "Description": "a dry run of ec2-lab"},
    "CreateSnapshot": {"VolumeId": "{volume}"},
    "CreateTags": {"Resources": ["{volume}"], "Tags": [{"Key": RETAINED, "Value": "a dry run"}]},
    "CreateVolume": {"AvailabilityZone": "{zone}", "Size": 1, "VolumeType": "gp3", "Encrypted": True},
    "DeleteKeyPair": {"KeyPairId": "{key-pair}"},
    "DeletePlacementGroup": {"GroupName": "{placement-group}"},
    "DeleteSecurityGroup": {"GroupId": "{security-group}"},
    "DeleteSnapshot": {"SnapshotId": "{snapshot}"},
    "DeleteVolume": {"VolumeId": "{volume}"},
    "DetachVolume": {"VolumeId": "{volume}"},
    "GetConsoleOutput": {"InstanceId": "{instance}"},
    "GetSpotPlacementScores": {"InstanceTypes": ["g5.xlarge"], "TargetCapacity": 1},
    "ModifyInstanceAttribute": {
        "InstanceId": "{instance}",
        "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"DeleteOnTermination": True}}],
    },
    "ReleaseAddress": {"AllocationId": "{address}"},
    "RevokeSecurityGroupIngress": {"GroupId": "{security-group}", "IpPermissions": SSH},
    "StartInstances": {"InstanceIds": ["{instance}"]},
    "StopInstances": {"InstanceIds": ["{instance}"]},
    "TerminateInstances": {"InstanceIds": ["{instance}"]},
}
"""The requests, with {type} for the id of a resource of the lab.

All but RunInstances, whose request is an experiment's own; descriptions take no parameters."""


def filled(template: Any, ids: Ids) -> Any:
    """Return a request with ids by type."""
    match template:
        case str():
            return template.format_map(ids)
        case list():
            return [filled(one, ids) for one in template]
        case dict():
            return {name: filled(one, ids) for name, one in template.items()}
    return template


def _types_in(template: Mapping[str, Any]) -> set[str]:
    """Return the types whose ids must be the lab's own for a clear answer."""
    return set(re.findall(r"\{([a-z-]+)\}", str(template))) - {"region"}


@dataclass(frozen=True, slots=True)
class DryRunResult:
    answer: Answer
    code: str = ""
    message: str = ""
    made: tuple[str, ...] = ()  # the instances that it launched, if it was executed


@dataclass
class Trials:
    """All dry runs of one run of the doctor: the first that is executed is the last."""

    cloud: Cloud
    in_time: Callable[[Query[Any]], Any]
    """Makes a call within a region's timeout. Raises NoResponse."""
    over: bool = False
    _silent: dict[str, NoResponse] = field(default_factory=dict)
    """Regions that did not respond: a request may still be in flight there, so no more are sent."""
    _alone: Lock = field(default_factory=Lock)
    """Held for those that could do harm, so that no second one is in flight when the first does."""

    def tried(self, region: str, operation: str, own: Ids) -> DryRunResult:
        """Try a dry run of an operation, on the lab's own resources if there are any, else on invented ids."""
        template = DRY_RUNS.get(operation)
        if template is None:
            return self._asked(region, operation, {}, is_clear=True)
        needed, request = _types_in(template), filled(template, {**MADE_UP, **own, "region": region})
        is_clear = needed <= set(own)
        if not needed or needed & set(own):
            return self.dry_run_request(region, operation, request, is_clear=is_clear)
        return self._asked(region, operation, request, is_clear=is_clear)

    def dry_run_request(
        self, region: str, operation: str, request: Mapping[str, Any], *, is_clear: bool = True
    ) -> DryRunResult:
        """Try a dry run of a request; `is_clear` says whether an error can only mean a missing permission."""
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
        except ClientError as failure:
            error = failure.response["Error"]
            code, message = error.get("Code", ""), error.get("Message", "")
            if code == WOULD_WORK:
                return DryRunResult(Answer.ALLOWED)
            denied = code == NOT_ALLOWED and is_clear
            return DryRunResult(Answer.DENIED if denied else Answer.UNCLEAR, code, message)
        return DryRunResult(Answer.CARRIED_OUT, made=tuple(one["InstanceId"] for one in done.get("Instances", ())))


NO = (*ACCESS_DENIED_CODES, "403")  # the response to a HEAD request has no code but its status
NOTHING = "e30="  # an encoded authorization message without content: callers with the permission get another error


def _allowed(call: Callable[[], Any]) -> bool | None:
    """Make a call and return whether it was allowed: other errors come after that check. None without a response."""
    try:
        call()
    except ClientError as error:
        return error.response["Error"].get("Code") not in NO
    except AWS_ERRORS:
        return None
    return True


def _client(lab: DoctorContext, service: str, region: str = "") -> Any:
    return lab.opened.cloud.client(service, region or lab.lab.regions[0])


def _list_bucket(lab: DoctorContext) -> bool | None:
    buckets = set(lab.artifact_buckets.values())
    s3 = _client(lab, "s3")
    results = [_allowed(lambda bucket=bucket: s3.list_objects_v2(Bucket=bucket, MaxKeys=1)) for bucket in buckets]  # type: ignore[misc]
    return False if False in results else None if None in results else True


def _get_products(lab: DoctorContext) -> bool | None:
    if (asked := pricing_region(lab.lab.regions[0])) is None:
        return True  # no price list in this partition
    wanted = [{"Type": "TERM_MATCH", "Field": "instanceType", "Value": "g5.xlarge"}]
    pricing = _client(lab, "pricing", asked)
    return _allowed(lambda: pricing.get_products(ServiceCode="AmazonEC2", Filters=wanted, MaxResults=1))


READS: Mapping[str, Callable[[DoctorContext], bool | None]] = {
    "cloudtrail:LookupEvents": lambda lab: _allowed(lambda: _client(lab, "cloudtrail").lookup_events(MaxResults=1)),
    "pricing:GetProducts": _get_products,
    "s3:ListBucket": _list_bucket,
    "servicequotas:ListAWSDefaultServiceQuotas": lambda lab: _allowed(
        lambda: _client(lab, "service-quotas").list_aws_default_service_quotas(ServiceCode="ec2", MaxResults=1)
    ),
    "servicequotas:ListServiceQuotas": lambda lab: _allowed(
        lambda: _client(lab, "service-quotas").list_service_quotas(ServiceCode="ec2", MaxResults=1)
    ),
    "ssm:GetParameters": lambda lab: _allowed(
        lambda: _client(lab, "ssm").get_parameters(Names=["/aws/service/ami-amazon-linux-latest/none"])
    ),
    "sts:DecodeAuthorizationMessage": lambda lab: _allowed(
        lambda: _client(lab, "sts").decode_authorization_message(EncodedMessage=NOTHING)
    ),
    "sts:GetCallerIdentity": lambda _: True,  # it has responded
}
