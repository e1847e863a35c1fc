"""Calls that only read, made to learn whether they are allowed where nothing else tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from ec2lab.aws.error_codes import ACCESS_DENIED_CODES
from ec2lab.aws.errors import AWS_ERRORS
from ec2lab.costs.aws_prices import pricing_region
from ec2lab.doctor.context import DoctorContext

NO = (*ACCESS_DENIED_CODES, "403")
"""The answer to a HEAD has no code but its status."""
NOTHING = "e30="
"""An encoded authorization message that says nothing: who may ask is told that it is none."""


def _allowed(call: Callable[[], Any]) -> bool | None:
    """Make a call and return whether it was allowed: any other refusal comes after that one. None: no answer came."""
    try:
        call()
    except ClientError as refusal:
        return refusal.response["Error"].get("Code") not in NO
    except AWS_ERRORS:
        return None
    return True


def _client(lab: DoctorContext, service: str, region: str = "") -> Any:
    return lab.opened.cloud.client(service, region or lab.lab.regions[0])


def _list_bucket(lab: DoctorContext) -> bool | None:
    buckets = {urlsplit(one.artifact_uri).netloc for one in lab.experiments.values() if one.artifact_uri}
    s3 = _client(lab, "s3")
    told = [_allowed(lambda bucket=bucket: s3.list_objects_v2(Bucket=bucket, MaxKeys=1)) for bucket in buckets]  # type: ignore[misc]
    return False if False in told else None if None in told else True


def _get_products(lab: DoctorContext) -> bool | None:
    if (asked := pricing_region(lab.lab.regions[0])) is None:
        return True  # nobody there has a price list to ask
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
    "sts:GetCallerIdentity": lambda _: True,  # it has answered
}
"""Action -> what tells whether it is allowed."""
