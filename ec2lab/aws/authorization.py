"""What AWS means by `not authorized`, in words."""

from __future__ import annotations

import json
import re

from ec2lab.aws.cloud import Cloud
from ec2lab.aws.error_codes import ApiError
from ec2lab.aws.errors import AWS_ERRORS

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
