"""Errors of AWS and botocore, as lines that tell the user what to do."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, ParamValidationError
from botocore.parsers import ResponseParserError

from ec2lab import clock
from ec2lab.aws.error_codes import NEVER_SENT, TRANSIENT, ApiError, ErrorCategory, classify
from ec2lab.errors import UserError
from ec2lab.printable import shortened

if TYPE_CHECKING:
    from botocore.session import Session

NOT_ALLOWED = (
    "docs/iam-policy.json has the permissions that the lab's role or user needs, "
    "docs/iam-policy-data.json those for building and copying datasets"
)
PROFILE = "ec2_lab_profile"  # where an error's metadata have the profile of its call (aws/clients.py)
OVER = "the session has expired: log in again (`aws sso login{profile}`), or set fresh keys in the environment"
REMEDIES = {  # what fixes an error (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html)
    "UnauthorizedOperation": NOT_ALLOWED,
    "AccessDenied": NOT_ALLOWED,
    "AccessDeniedException": NOT_ALLOWED,
    "AuthFailure.ServiceLinkedRoleCreationNotPermitted": "somebody with the permission must run, once, "
    "`aws iam create-service-linked-role --aws-service-name spot.amazonaws.com`",
    "AuthFailure": "the credentials are not valid in this region, or this computer's clock is wrong",
    "InvalidClientTokenId": "the access key does not exist (any more): see `aws configure list`",
    "SignatureDoesNotMatch": "the secret key is not the access key's, or this computer's clock is wrong",
    "RequestExpired": "this computer's clock is wrong, or the session has expired: log in again",
    "ExpiredToken": OVER,
    "ExpiredTokenException": OVER,
    "OptInRequired": "the account has not opted in to this region: do so in AWS, or leave it out of regions",
    "Client.InternalError": "mostly a KMS key that EC2 may not use: see to the policy and state of the key of the "
    "data's snapshot, and of the account's default key for EBS",
    "Blocked": "AWS has blocked the account: see AWS Support",
    "PendingVerification": "AWS is still verifying the account for this region: wait, or leave it out of regions",
    "VPCIdNotSpecified": "the region has no default VPC: name subnets in lab.toml's [network.subnets]",
    "DefaultVpcDoesNotExist": "the region has no default VPC: name subnets in lab.toml's [network.subnets]",
}

NOT_REACHED = "is this computer online, and the region's name right?"
CLOCK = ("RequestExpired", "AuthFailure", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "InvalidSignatureException")
"""Codes that a wrong clock may cause; AWS tolerates five minutes."""
NOTICEABLE = 60  # seconds


AwsError = ClientError | BotoCoreError | ResponseParserError
AWS_ERRORS = (ClientError, BotoCoreError, ResponseParserError)
"""What a call to AWS raises: AWS's errors, the network's, and that of a truncated response."""


class RegionUnavailable(UserError):
    """The region lacks something that other regions may have; the launch continues with the next one.

    `error` is AWS's error, if there was one.
    """

    def __init__(self, reason: str, error: ApiError | None = None) -> None:
        super().__init__(reason)
        self.error = error

    @property
    def may_pass(self) -> bool:
        return self.error is not None and self.error.category in TRANSIENT


@contextmanager
def in_words() -> Iterator[None]:
    """Convert an unhandled error of AWS or botocore to a UserError of one line."""
    try:
        yield
    except ParamValidationError:
        raise  # a bug of ours, not the user's
    except AWS_ERRORS as problem:
        raise UserError(_in_words(problem)) from problem


@contextmanager
def ignoring(*codes: str) -> Iterator[None]:
    """Go on after AWS's errors with these codes."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in codes:
            raise


def _in_words(problem: AwsError, *, place: bool = True) -> str:
    if isinstance(problem, ClientError):
        return described(problem, place=place)
    return f"AWS: {described(problem, place=place)}"


def reason(problem: Exception, *, place: bool = False) -> str:
    """Return what went wrong with a query, by default without its region, for a line that begins with it."""
    return _in_words(problem, place=place) if isinstance(problem, AWS_ERRORS) else str(problem)


STATUS = "HTTPStatusCode"
GLOBAL = ("iam",)  # services that are the same in all regions
REGION, SERVICE, OPERATION = "ec2_lab_region", "ec2_lab_service", "ec2_lab_operation"
"""Attributes of an exception with its origin; a ClientError has them in its ResponseMetadata."""


def carry_regions(session: Session) -> None:
    """Add region and operation to every error of the session's clients; botocore's own have none."""
    events = session.get_component("event_emitter")
    events.register_first("after-call", _name_origin)
    events.register_first("after-call-error", _name_origin_of_failure)


def _name_origin(parsed: Any, model: Any, context: dict[str, Any], http_response: Any, **_: Any) -> None:
    if http_response.status_code >= 300 and isinstance(parsed, dict):  # noqa: PLR2004
        service = model.service_model.service_name
        parsed.setdefault("ResponseMetadata", {}).update(_origin(service, model.name, context))


def _name_origin_of_failure(event_name: str, exception: Exception, context: dict[str, Any], **_: Any) -> None:
    service, operation = event_name.split(".")[1:]
    for key, value in _origin(service, operation, context).items():
        setattr(exception, key, value)


def _origin(service: str, operation: str, context: dict[str, Any]) -> dict[str, str]:
    region = "" if service in GLOBAL else str(context.get("client_region") or "")
    return {REGION: region, SERVICE: service, OPERATION: operation}


def api_error(problem: AwsError, *, market: str = "", instance_type: str = "") -> ApiError:
    """Return the error of an exception from a call. Errors from before the request is sent are raised."""
    if isinstance(problem, ParamValidationError) or type(problem).__name__ in NEVER_SENT:
        raise problem
    metadata: dict[str, Any]
    if isinstance(problem, ClientError):
        said, metadata = problem.response.get("Error", {}), dict(problem.response.get("ResponseMetadata", {}))
        code, message, status = str(said.get("Code", "Unknown")), str(said.get("Message", "")), metadata.get(STATUS)
        operation = problem.operation_name
    else:
        metadata = {name: getattr(problem, name, "") for name in (REGION, SERVICE)}
        code, message, status = type(problem).__name__, _first_line(problem), None
        operation = getattr(problem, OPERATION, "")
    service = f"{metadata[SERVICE]}:" if metadata.get(SERVICE) else ""
    return ApiError(
        code, message, status, region=metadata.get(REGION, ""), operation=f"{service}{operation}",
        market=market, instance_type=instance_type,
    )  # fmt: skip


def described(problem: AwsError, *, place: bool = True) -> str:
    """Return `RunInstances in us-east-1: AuthFailure: message (remedy)`; without `place`, without the region."""
    if not isinstance(problem, ClientError):
        remedy = f"; {NOT_REACHED}" if isinstance(problem, EndpointConnectionError) else ""
        return f"{_where(problem, place=place)}{_first_line(problem)}{remedy}"
    error, metadata = problem.response.get("Error", {}), dict[str, Any](problem.response.get("ResponseMetadata", {}))
    region, profile = metadata.get(REGION), metadata.get(PROFILE)
    where = f"{problem.operation_name} in {region}" if region and place else problem.operation_name
    text = f"{where}: {format_code(error.get('Code', 'Unknown'), error.get('Message', ''), profile)}"
    return f"{text}{_clock_skew_hint(problem) if error.get('Code') in CLOCK else ''}"


def _first_line(problem: Exception) -> str:
    """Return botocore's message; after a colon it quotes the unreadable response, over several lines."""
    return shortened(str(problem).partition("\n")[0].rstrip(" :"))


def _where(problem: BotoCoreError | ResponseParserError, *, place: bool) -> str:
    """Return the place of a network error, to put in front of it; empty for errors from before the request."""
    operation, region = getattr(problem, OPERATION, ""), getattr(problem, REGION, "")
    return f"{operation}{f' in {region}' if region and place else ''}: " if operation else ""


def _clock_skew_hint(error: ClientError) -> str:
    """Return by how much this computer's clock is off, from the date of AWS's response."""
    date = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if not date:
        return ""
    seconds = round(clock.now().timestamp() - parsedate_to_datetime(date).timestamp())
    if abs(seconds) < NOTICEABLE:
        return ""
    return f"; this computer's clock is {abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} AWS's"


def format_code(code: str, message: str, profile: str | None = None) -> str:
    """Return `UnauthorizedOperation: message (remedy)` on one line, shortened if necessary.

    If the response has no error code, botocore uses the HTTP status.
    """
    if not message and code.isdigit():
        return f"HTTP {code}, with neither an error code nor a message"
    remedy = remedy_of(code, message, profile)
    said = shortened(" ".join(f"{code}: {message}".split()))
    return f"{said} ({remedy})" if remedy else said


def rejection(error: ApiError) -> dict[str, Any]:
    """Return an error as the fields of a LaunchRejected event."""
    remedy = f" ({found})" if (found := remedy_of(error.code, error.message)) else ""
    return {
        "code": error.code, "message": error.message, "category": error.category.name, "late": error.late,
        "explanation": f"{error.explained}{remedy}",
    }  # fmt: skip


def remedy_of(code: str, message: str, profile: str | None = None) -> str:
    """Return what fixes an error; empty if unknown, or if its message says it."""
    needs_subscription = classify(code, message) is ErrorCategory.SUBSCRIPTION_REQUIRED
    named = f" --profile {shlex.quote(profile)}" if profile else ""
    return "" if needs_subscription else REMEDIES.get(code, "").format(profile=named)
