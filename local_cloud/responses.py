"""Responses in AWS's formats: a body, its HTTP status, and errors with the status of their code."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any, Literal
from xml.sax.saxutils import escape

STATUS = {
    "AccessDenied": 403,
    "AuthFailure": 401,
    "DryRunOperation": 412,
    "InsufficientAddressCapacity": 500,
    "InsufficientCapacity": 500,
    "InsufficientHostCapacity": 500,
    "InsufficientInstanceCapacity": 500,
    "InsufficientReservedInstanceCapacity": 500,
    "InsufficientVolumeCapacity": 500,
    "InternalError": 500,
    "InvalidClientTokenId": 403,
    "InternalFailure": 500,
    "MissingAuthenticationToken": 403,
    "OptInRequired": 401,
    "RequestLimitExceeded": 503,
    "ServerInternal": 500,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "Unavailable": 503,
    "UnauthorizedOperation": 403,
}
"""All other codes come with 400 (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html)."""

CLIENT_ERROR = 400
EC2 = "http://ec2.amazonaws.com/doc/2016-11-15/"
Protocol = Literal["ec2", "query", "json"]  # three formats of errors: EC2's own, that of STS and IAM, and that of SSM


class Problem(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class ConnectionDropped(Exception):
    """The connection is closed without a response."""


@dataclass
class Answer:
    status: int
    body: bytes
    content_type: str = "text/xml;charset=UTF-8"
    code: str | None = None  # the error code, None for success
    truncated: bool = False  # the connection is closed in the middle of the body
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    headers: dict[str, str] = field(default_factory=dict)


def xml_answer(action: str, content: str, namespace: str = EC2) -> Answer:
    answer = Answer(200, b"")
    answer.body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<{action}Response xmlns="{namespace}">'
        f"<requestId>{answer.request_id}</requestId>{content}</{action}Response>"
    ).encode()
    return answer


def json_answer(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode(), "application/json")


def error(problem: Problem, protocol: Protocol = "ec2") -> Answer:
    answer = Answer(STATUS.get(problem.code, CLIENT_ERROR), b"", code=problem.code)
    detail = f"<Error><Code>{escape(problem.code)}</Code><Message>{escape(problem.message)}</Message></Error>"
    if protocol == "json":
        answer.content_type = "application/x-amz-json-1.1"
        answer.body = json.dumps({"__type": problem.code, "message": problem.message}).encode()
    elif protocol == "query":
        answer.body = f"<ErrorResponse>{detail}<RequestId>{answer.request_id}</RequestId></ErrorResponse>".encode()
    else:
        answer.body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Response><Errors>{detail}</Errors><RequestID>{answer.request_id}</RequestID></Response>"
        ).encode()
    return answer


def load_balancer_503() -> Answer:
    """Return a load balancer's error without a backend: not an AWS error."""
    return Answer(503, b"<html><body>503 Service Temporarily Unavailable</body></html>", "text/html", code="(page)")
