"""AWS's and botocore's errors as lines that a user can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from scripts.core import clock
from scripts.core.errors import LabError

NOT_ALLOWED = (
    "docs/iam-policy.json lists what the lab's role or user must be allowed, "
    "docs/iam-policy-data.json what making and copying data sets takes"
)
REMEDIES = {
    "UnauthorizedOperation": NOT_ALLOWED,
    "AccessDenied": NOT_ALLOWED,
    "AccessDeniedException": NOT_ALLOWED,
    "AuthFailure.ServiceLinkedRoleCreationNotPermitted": "somebody who may must once run "
    "`aws iam create-service-linked-role --aws-service-name spot.amazonaws.com`",
    "AuthFailure": "the credentials are not valid in this region, or this machine's clock is wrong",
    "InvalidClientTokenId": "the access key does not exist (any more): see `aws configure list`",
    "SignatureDoesNotMatch": "the secret key is not the access key's, or this machine's clock is wrong",
    "RequestExpired": "this machine's clock is wrong, or the session is over: log in again",
    "ExpiredToken": "the session is over: log in again (`aws sso login`)",
    "ExpiredTokenException": "the session is over: log in again (`aws sso login`)",
    "OptInRequired": "the account has not opted in to this region: do so in AWS, or leave it out of regions",
    "Blocked": "AWS has blocked the account: see AWS Support",
    "PendingVerification": "AWS is still verifying the account for this region: wait, or leave it out of regions",
    "VPCIdNotSpecified": "the region has no default VPC: name subnets in lab.toml's [network.subnets]",
    "DefaultVpcDoesNotExist": "the region has no default VPC: name subnets in lab.toml's [network.subnets]",
}
"""What mends a refusal (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html)."""

CLOCK = ("RequestExpired", "AuthFailure", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "InvalidSignatureException")
"""Codes behind which a wrong clock may be; AWS bears five minutes."""
NOTICEABLE = 60
"""Seconds."""


@contextmanager
def in_words() -> Iterator[None]:
    """Turn an error of AWS or botocore that nobody handled into a LabError of one line."""
    try:
        yield
    except ClientError as refusal:
        raise LabError(described(refusal)) from refusal
    except (NoCredentialsError, TokenRetrievalError, SSOError) as problem:
        raise LabError(
            f"AWS: {problem}; set up a profile (`aws configure sso`) and name it in lab.toml: profile = "
        ) from problem
    except EndpointConnectionError as problem:
        raise LabError(f"AWS: {problem}; is this machine online, and the region's name right?") from problem
    except ParamValidationError:
        raise  # a bug of ours, not the user's
    except (BotoCoreError, ResponseParserError) as problem:
        first_line = str(problem).partition("\n")[0]
        raise LabError(f"AWS: {first_line}") from problem


def described(refusal: ClientError) -> str:
    """Return `RunInstances: UnauthorizedOperation: message (remedy)`."""
    error = refusal.response.get("Error", {})
    told = f"{refusal.operation_name}: {in_one_line(error.get('Code', 'Unknown'), error.get('Message', ''))}"
    return f"{told}{_by_the_clock(refusal) if error.get('Code') in CLOCK else ''}"


def _by_the_clock(refusal: ClientError) -> str:
    """Return how far this machine's clock is off, by the date of AWS's answer."""
    date = refusal.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if not date:
        return ""
    seconds = round(clock.now().timestamp() - parsedate_to_datetime(date).timestamp())
    if abs(seconds) < NOTICEABLE:
        return ""
    return f"; this machine's clock is {abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} AWS's"


def in_one_line(code: str, message: str) -> str:
    """Return `UnauthorizedOperation: message (remedy)`, whatever line breaks the message has."""
    remedy = f" ({REMEDIES[code]})" if code in REMEDIES else ""
    return " ".join(f"{code}: {message}{remedy}".split())
