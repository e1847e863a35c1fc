"""Answers that arrived whole: botocore takes what a broken connection left of one, and does not ask again."""

from __future__ import annotations

from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError


class WholeAnswers:
    """In front of a client's HTTP session: an answer shorter than announced is a lost one, which botocore retries.

    botocore reads with enforce_content_length=False (botocore/httpsession.py), so half an answer reaches its parser,
    whose error it never retries.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def send(self, request: AWSPreparedRequest) -> AWSResponse:
        """Send a request and return its answer. Raises ConnectionClosedError where it is not whole."""
        answer: AWSResponse = self._session.send(request)
        announced = answer.headers.get("Content-Length", "")
        if request.stream_output or request.method == "HEAD" or not announced.isdigit():
            return answer
        if len(answer.content) < int(announced):
            cut_off = f"{len(answer.content)} of {announced} bytes"
            raise ConnectionClosedError(endpoint_url=request.url, request=request, error=cut_off)
        return answer

    def close(self) -> None:
        """Close all connections."""
        self._session.close()
