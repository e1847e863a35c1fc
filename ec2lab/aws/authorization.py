"""Whether a call would be allowed, and why one was denied: dry runs, and encoded authorization messages."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from ec2lab.aws.cloud import Cloud
from ec2lab.aws.error_codes import ApiError
from ec2lab.aws.errors import AWS_ERRORS

WOULD_WORK = "DryRunOperation"

HARMLESS: Mapping[str, Mapping[str, Any]] = {
    "DescribeRegions": {},
    "DeleteKeyPair": {"KeyName": "ec2-lab-no-such-key-pair"},
}
"""The first one only reads. The second one would change something, which an endpoint may treat differently, but has
nothing to change: no key pair has that name, and EC2 returns success for that
(https://github.com/boto/boto3/issues/865)."""


class DryRuns(Enum):
    """How an endpoint handles dry runs."""

    DRY = "they are answered, and nothing is done"
    CARRIED_OUT = "they are carried out"
    UNKNOWN = "neither of the harmless ones was allowed"


def dry_runs(ec2: Any) -> DryRuns:
    """Make the harmless dry runs, one after the other."""
    dry = False
    for operation, request in HARMLESS.items():
        code = code_of(ec2, operation, request)
        if code is None:
            return DryRuns.CARRIED_OUT
        dry = dry or code == WOULD_WORK
    return DryRuns.DRY if dry else DryRuns.UNKNOWN


def code_of(ec2: Any, operation: str, request: Mapping[str, Any]) -> str | None:
    """Return the error code of a dry run; None if it was carried out."""
    try:
        getattr(ec2, xform_name(operation))(**request, DryRun=True)
    except ClientError as answer:
        return str(answer.response["Error"].get("Code", ""))
    return None


ENCODED = re.compile(r"Encoded authorization failure message: (?P<message>[\w+/=-]+)")


def decoded(cloud: Cloud, region: str, error: ApiError) -> str:
    """Return an error's message; if it is encoded and we may decode it, decoded.

    EC2 encodes its reasons for those who may call sts:DecodeAuthorizationMessage
    (https://docs.aws.amazon.com/STS/latest/APIReference/API_DecodeAuthorizationMessage.html).
    """
    encoded = ENCODED.search(error.message)
    if encoded is None:
        return error.message
    try:
        sts = cloud.client("sts", region)
        denial = json.loads(sts.decode_authorization_message(EncodedMessage=encoded["message"])["DecodedMessage"])
        why = "an explicit deny" if denial.get("explicitDeny") else "no policy allows it"
        context = denial["context"]
        return f"{context['principal']['arn']} may not {context['action']} on {context['resource']}: {why}"
    except (*AWS_ERRORS, ValueError, LookupError, TypeError, AttributeError):
        # Decoding is not allowed, or the format is different: omit the code, which helps nobody.
        return ENCODED.sub("(sts:DecodeAuthorizationMessage would show what is missing)", error.message)
