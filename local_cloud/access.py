"""Who may call the local cloud: no web page, whatever its name resolves to, and nobody without the server's secret.

AWS Signature Version 4 is verified as AWS does. The secret is the secret access key of every access key id. The id only
names the caller, as in CloudTrail.
"""

from __future__ import annotations

import ipaddress
import re
from hashlib import sha256
from hmac import compare_digest
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local_cloud.request import Call
from local_cloud.responses import Problem

BROWSER_HEADERS = ("HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE", "HTTP_SEC_FETCH_MODE", "HTTP_SEC_FETCH_DEST")
"""At least one is in each request of a page to a loopback address, also in those without Origin
(https://www.w3.org/TR/fetch-metadata/). No AWS client sends any."""

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/,\s]+/(?P<date>\d{8})/[^/,\s]+/[^/,\s]+/aws4_request,\s*"
    r"SignedHeaders=(?P<headers>[a-z0-9;-]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
AUTH_FAILURE = Problem("AuthFailure", "AWS was not able to validate the provided access credentials")
MISSING_TOKEN = Problem("MissingAuthenticationToken", "Request is missing Authentication Token")
TIMESTAMP = re.compile(r"\d{8}T\d{6}Z")
CONTENT_DIGEST = re.compile(r"[0-9a-f]{64}")
"""Other values of X-Amz-Content-SHA256, such as UNSIGNED-PAYLOAD, leave the body unsigned
(https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html)."""


def browser_error(environ: dict[str, Any]) -> str | None:
    """Return why a request is refused that a web page may have caused."""
    if any(header in environ for header in BROWSER_HEADERS):
        return "requests of web pages are not served"
    host = environ.get("HTTP_HOST", "")
    if not _is_local(host):
        return f"Host: {host[:200]!r} is not an address of this computer"
    return None


def _is_local(host: str) -> bool:
    """Say whether a Host header names this computer without DNS: to a virtual machine it has a link-local address."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name == "localhost":
            return True
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_link_local


def is_authorized(environ: dict[str, Any], secret: str) -> bool:
    given: str = environ.get("HTTP_AUTHORIZATION", "")
    return compare_digest(given.encode(), f"Bearer {secret}".encode())


def is_signed(environ: dict[str, Any]) -> bool:
    """Say whether a WSGI request looks signed; verifying the signature needs its body."""
    return AUTHORIZATION.fullmatch(environ.get("HTTP_AUTHORIZATION", "")) is not None


def signature_error(call: Call, secret: str) -> Problem | None:
    """Return AWS's error for a call whose signature was not made with the secret."""
    signed = AUTHORIZATION.fullmatch(call.environ.get("HTTP_AUTHORIZATION", ""))
    timestamp = call.environ.get("HTTP_X_AMZ_DATE", "")
    if not signed or not TIMESTAMP.fullmatch(timestamp) or timestamp[:8] != signed["date"]:
        return AUTH_FAILURE if call.service == "ec2" else MISSING_TOKEN
    names = signed["headers"].split(";")
    if "host" not in names or not compare_digest(_signature(call, secret, names, timestamp), signed["signature"]):
        return _mismatch(call)
    digest = call.environ.get("HTTP_X_AMZ_CONTENT_SHA256", "")
    if CONTENT_DIGEST.fullmatch(digest) and digest != sha256(call.body).hexdigest():
        message = "The provided 'x-amz-content-sha256' header does not match what was computed."
        return Problem("XAmzContentSHA256Mismatch", message)
    return None


def _signature(call: Call, secret: str, names: list[str], timestamp: str) -> str:
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


def _mismatch(call: Call) -> Problem:
    """EC2 and the JSON protocols have codes of their own for it."""
    if call.service == "ec2":
        return AUTH_FAILURE
    code = "InvalidSignatureException" if call.protocol == "json" else "SignatureDoesNotMatch"
    message = (
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method."
    )
    return Problem(code, message)


ISSUING = ("AssumeRole", "GetSessionToken", "CreateAccessKey")  # operations that return new keys


def with_secret(action: str, body: bytes, secret: str) -> bytes:
    """Return a response whose new keys, if any, work with this server."""
    if action not in ISSUING:
        return body
    return re.sub(rb"<SecretAccessKey>[^<]*<", f"<SecretAccessKey>{secret}<".encode(), body)
