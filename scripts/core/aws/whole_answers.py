"""Answers that arrived whole: botocore takes what a broken connection left of one, and does not ask again."""

from __future__ import annotations

import json
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError


class WholeAnswers:
    """In front of a client's HTTP session: an answer shorter than announced is a lost one, which botocore retries.

    botocore reads with enforce_content_length=False (botocore/httpsession.py), so half an answer reaches its parser,
    whose error it never retries; half a JSON document is no error to it, but a response without its members.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def send(self, request: AWSPreparedRequest) -> AWSResponse:
        """Send a request and return its answer. Raises ConnectionClosedError where it is not whole."""
        answer: AWSResponse = self._session.send(request)
        if request.stream_output or request.method == "HEAD":
            return answer
        if cut_off := _what_is_cut_off(answer):
            raise ConnectionClosedError(endpoint_url=request.url, request=request, error=cut_off)
        return answer

    def close(self) -> None:
        """Close all connections."""
        self._session.close()


def _what_is_cut_off(answer: AWSResponse) -> str:
    announced = answer.headers.get("Content-Length", "")
    if announced.isdigit() and len(answer.content) < int(announced):
        return f"{len(answer.content)} of {announced} bytes"
    if "json" in answer.headers.get("Content-Type", "") and answer.content:
        try:
            json.loads(answer.content)
        except ValueError as problem:
            return f"no whole JSON: {problem}"
    return ""
