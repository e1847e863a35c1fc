"""AWS Signature Version 4, verified as AWS does: only holders of the server's secret can call.

The secret is the secret access key of every access key id. The id only names the caller, as in CloudTrail.
"""

from __future__ import annotations

import re
from hashlib import sha256
from hmac import compare_digest
from typing import Any

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local_cloud.request import Call
from local_cloud.responses import Problem

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/,\s]+/(?P<date>\d{8})/[^/,\s]+/[^/,\s]+/aws4_request,\s*"
    r"SignedHeaders=(?P<headers>[a-z0-9;-]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
TIMESTAMP = re.compile(r"\d{8}T\d{6}Z")
CONTENT_DIGEST = re.compile(r"[0-9a-f]{64}")
"""Other values of X-Amz-Content-SHA256, such as UNSIGNED-PAYLOAD, leave the body unsigned
(https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html)."""


def is_signed(environ: dict[str, Any]) -> bool:
    """Say whether a WSGI request looks signed; verifying the signature needs its body."""
    return AUTHORIZATION.fullmatch(environ.get("HTTP_AUTHORIZATION", "")) is not None


def signature_error(call: Call, secret: str) -> Problem | None:
    """Return AWS's error for a call whose signature was not made with the secret."""
    signed = AUTHORIZATION.fullmatch(call.environ.get("HTTP_AUTHORIZATION", ""))
    timestamp = call.environ.get("HTTP_X_AMZ_DATE", "")
    if not signed or not TIMESTAMP.fullmatch(timestamp) or timestamp[:8] != signed["date"]:
        return _missing_token(call)
    names = signed["headers"].split(";")
    if "host" not in names or not compare_digest(_signature(call, secret, names, timestamp), signed["signature"]):
        return _mismatch(call)
    digest = call.environ.get("HTTP_X_AMZ_CONTENT_SHA256", "")
    if CONTENT_DIGEST.fullmatch(digest) and digest != sha256(call.body).hexdigest():
        message = "The provided 'x-amz-content-sha256' header does not match what was computed."
        return Problem("XAmzContentSHA256Mismatch", message)
    return None


def _signature(call: Call, secret: str, names: list[str], timestamp: str) -> str:
    """Return the signature of a call signed with the secret."""
    environ = call.environ
    request = AWSRequest(
        method=environ["REQUEST_METHOD"],
        url=f"http://{environ.get('HTTP_HOST', '')}{environ['RAW_URI']}",
        headers={name: environ.get(_variable(name), "") for name in names},
        data=call.body,
    )
    request.context["timestamp"] = timestamp
    signer = S3SigV4Auth if call.service == "s3" else SigV4Auth
    auth = signer(Credentials(call.key, secret), call.service, call.region)
    made: str = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    return made


def _variable(header: str) -> str:
    """Return a header's name in a WSGI environment (PEP 3333)."""
    name = header.upper().replace("-", "_")
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"


def _missing_token(call: Call) -> Problem:
    if call.service == "ec2":
        return Problem("AuthFailure", "AWS was not able to validate the provided access credentials")
    return Problem("MissingAuthenticationToken", "Request is missing Authentication Token")


def _mismatch(call: Call) -> Problem:
    """EC2 and the JSON protocols have codes of their own for it."""
    if call.service == "ec2":
        return Problem("AuthFailure", "AWS was not able to validate the provided access credentials")
    code = "InvalidSignatureException" if call.protocol == "json" else "SignatureDoesNotMatch"
    message = (
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method."
    )
    return Problem(code, message)


ISSUING = ("AssumeRole", "GetSessionToken", "CreateAccessKey")
"""Operations that return new keys."""


def with_secret(action: str, body: bytes, secret: str) -> bytes:
    """Return a response whose new keys, if any, work with this server."""
    if action not in ISSUING:
        return body
    return re.sub(rb"<SecretAccessKey>[^<]*<", f"<SecretAccessKey>{secret}<".encode(), body)
