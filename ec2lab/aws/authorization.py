"""Whether a call would be allowed, and why one was not: dry runs, and AWS's encoded authorization messages."""

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
"""The first reads. The second is one of those that change something, which an endpoint may treat otherwise, and has
nothing to change: there is no key pair of that name, and EC2 answers with success to that
(https://github.com/boto/boto3/issues/865)."""


class DryRuns(Enum):
    """What an endpoint makes of dry runs."""

    DRY = "they are answered, and nothing is done"
    CARRIED_OUT = "they are carried out"
    UNKNOWN = "neither of the harmless ones was allowed"


def dry_runs(ec2: Any) -> DryRuns:
    """Ask an endpoint for the harmless ones, one after the other."""
    dry = False
    for operation, request in HARMLESS.items():
        code = code_of(ec2, operation, request)
        if code is None:
            return DryRuns.CARRIED_OUT
        dry = dry or code == WOULD_WORK
    return DryRuns.DRY if dry else DryRuns.UNKNOWN


def code_of(ec2: Any, operation: str, request: Mapping[str, Any]) -> str | None:
    """Return the error that a dry run ends with; None where it is carried out."""
    try:
        getattr(ec2, xform_name(operation))(**request, DryRun=True)
    except ClientError as answer:
        return str(answer.response["Error"].get("Code", ""))
    return None


ENCODED = re.compile(r"Encoded authorization failure message: (?P<message>[\w+/=-]+)")


def in_words(cloud: Cloud, region: str, refusal: ApiError) -> str:
    """Return a refusal's message; where it hides what was not allowed behind a code, and we may read that, in words.

    EC2 encodes its reasons so that only those who may call sts:DecodeAuthorizationMessage see them
    (https://docs.aws.amazon.com/STS/latest/APIReference/API_DecodeAuthorizationMessage.html).
    """
    encoded = ENCODED.search(refusal.message)
    if encoded is None:
        return refusal.message
    try:
        sts = cloud.client("sts", region)
        decoded = json.loads(sts.decode_authorization_message(EncodedMessage=encoded["message"])["DecodedMessage"])
        why = "an explicit deny" if decoded.get("explicitDeny") else "no policy allows it"
        context = decoded["context"]
        return f"{context['principal']['arn']} may not {context['action']} on {context['resource']}: {why}"
    except (*AWS_ERRORS, ValueError, LookupError, TypeError, AttributeError):
        # Not allowed to ask either, or told in another form: without the code, which helps nobody.
        return ENCODED.sub("(sts:DecodeAuthorizationMessage would tell what is missing)", refusal.message)
