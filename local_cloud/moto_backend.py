"""moto, which stores the resources: one call, one response."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from local_cloud.request import Call
from local_cloud.responses import Answer, Problem, error

OWN = ("content-type", "content-length", "x-amzn-requestid", "date", "server", "connection", "transfer-encoding")
"""Headers that the server writes itself."""
Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


def ask(moto: Wsgi, call: Call) -> Answer:
    caught: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
        caught["status"] = int(status.split(maxsplit=1)[0])
        caught["type"] = dict(headers).get("Content-Type", "text/xml")
        caught["headers"] = {name: value for name, value in headers if name.lower() not in OWN}

    try:
        body = b"".join(moto(call.rewritten(), start_response))
    except Exception:  # noqa: BLE001 - whatever moto fails with
        traceback.print_exc()
        caught = {"status": HTTPStatus.INTERNAL_SERVER_ERROR, "type": "text/html"}
    if caught["status"] >= HTTPStatus.INTERNAL_SERVER_ERROR and caught["type"].startswith("text/html"):
        # A page would be taken for an outage, and retried.
        what = f"{call.service}:{call.action} as it was asked is not in the local cloud"
        return error(Problem("UnsupportedOperation", what), call.protocol)
    answer = Answer(caught["status"], body, caught["type"], headers=caught["headers"])
    answer.body = body.replace(b"<requestId>request-id<", f"<requestId>{answer.request_id}<".encode())
    answer.code = _code_in(answer)
    return answer


def _code_in(answer: Answer) -> str | None:
    if answer.status < HTTPStatus.BAD_REQUEST:
        return None
    _, _, rest = answer.body.partition(b"<Code>")
    return rest.partition(b"</Code>")[0].decode() or str(answer.status)
