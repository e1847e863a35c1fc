"""The local cloud's process: one HTTP server on loopback, its address in a file."""

from __future__ import annotations

import json
import os
import signal
import socket
import uuid
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from scripts.local_cloud.answers import Answer, Disconnected
from scripts.local_cloud.call import Call
from scripts.local_cloud.control import controlled
from scripts.local_cloud.front import Front
from scripts.local_cloud.seed import seed
from scripts.local_cloud.weather import of_the_demo

ADDRESS_FILE = "server.json"


class Handler(WSGIRequestHandler):
    """Keeps connections open, as AWS does, and does not log."""

    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        """Send small answers at once."""
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: GET /lab/calls tells more."""


class Application:
    """The WSGI application: the local cloud's own door, and AWS behind the layer."""

    def __init__(self, front: Front, identity: str) -> None:
        self.front = front
        self.identity = identity

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        try:
            answer = self._answer(environ)
        except Disconnected:
            _break(environ["werkzeug.socket"])
            raise ConnectionResetError from None
        length = len(answer.body)
        headers = [
            ("Content-Type", answer.content_type),
            ("Content-Length", str(length)),
            ("x-amzn-requestid", answer.request_id),
        ]
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", headers)
        if answer.truncated:
            return _half(answer.body, environ["werkzeug.socket"])
        return [answer.body]

    def _answer(self, environ: dict[str, Any]) -> Answer:
        path = environ["PATH_INFO"]
        if path.startswith("/lab/"):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            return controlled(self.front, self.identity, environ["REQUEST_METHOD"], path, body)
        return self.front.answer(Call.read(environ))


def _break(connection: socket.socket) -> None:
    """Cut a connection; closing would not, while the server's own file objects hold it."""
    connection.shutdown(socket.SHUT_RDWR)


def _half(body: bytes, connection: socket.socket) -> Iterable[bytes]:
    yield body[: len(body) // 2]
    _break(connection)
    raise ConnectionResetError


def serve(directory: Path) -> None:
    """Serve until told to stop. The address is written to directory/server.json once calls are answered."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    identity = uuid.uuid4().hex
    seed()
    front = Front(DomainDispatcherApplication(create_backend_app), of_the_demo())
    server = make_server("127.0.0.1", 0, Application(front, identity), threaded=True, request_handler=Handler)
    _write_address(directory, {"id": identity, "pid": os.getpid(), "port": server.port,
                               "url": f"http://127.0.0.1:{server.port}"})  # fmt: skip
    server.serve_forever()


def _write_address(directory: Path, address: dict[str, Any]) -> None:
    draft = directory / f"{ADDRESS_FILE}.draft"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(address, file)
    draft.replace(directory / ADDRESS_FILE)
