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
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from scripts.local_cloud import clock
from scripts.local_cloud.answers import Answer, Disconnected
from scripts.local_cloud.call import Call
from scripts.local_cloud.control import controlled
from scripts.local_cloud.front import Front
from scripts.local_cloud.moto_clock import keep_time
from scripts.local_cloud.tables import keep_pace
from scripts.local_cloud.weather import of_the_demo

ADDRESS_FILE = "server.json"


class Handler(WSGIRequestHandler):
    """Keeps connections open, as AWS does, and does not log."""

    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        """Send small answers at once."""
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Tell the cloud's own time."""
        front: Front = self.server.app.front  # type: ignore[attr-defined]  # our own Application
        return super().date_time_string((timestamp or clock.now().timestamp()) + front.weather.clock_skew)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: GET /lab/calls tells more."""


class Server(ThreadedWSGIServer):
    """Ends by itself once its address is no longer on file, so that a deleted lab leaves no process behind."""

    def __init__(self, application: Application, directory: Path) -> None:
        super().__init__("127.0.0.1", 0, application, handler=Handler)
        # A descriptor, because the lab's directory may be renamed while the server runs.
        self.directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        self.on_file: os.stat_result | None = None

    def write_address(self, address: dict[str, Any]) -> None:
        """Write the address at once as a whole, for nobody else's eyes."""
        draft = f"{ADDRESS_FILE}.{os.getpid()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600, dir_fd=self.directory)
        with os.fdopen(descriptor, "w") as file:
            json.dump(address, file)
        os.replace(draft, ADDRESS_FILE, src_dir_fd=self.directory, dst_dir_fd=self.directory)
        self.on_file = os.stat(ADDRESS_FILE, dir_fd=self.directory)

    def service_actions(self) -> None:
        """End the process when the address is gone, or another server's. Called twice a second."""
        try:
            found = os.stat(ADDRESS_FILE, dir_fd=self.directory)
        except FileNotFoundError:
            os._exit(0)
        if self.on_file and not os.path.samestat(found, self.on_file):
            os._exit(0)


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
            *answer.headers.items(),
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
    # moto's own images bring 1,300 snapshots that are nobody's; ours are in images.py.
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
    keep_pace()
    keep_time()
    directory.mkdir(parents=True, exist_ok=True)
    clock.AHEAD.share(directory / clock.CLOCK_FILE)
    identity = uuid.uuid4().hex
    front = Front(DomainDispatcherApplication(create_backend_app), of_the_demo())
    server = Server(Application(front, identity), directory)
    url = f"http://127.0.0.1:{server.port}"
    server.write_address({"id": identity, "pid": os.getpid(), "port": server.port, "url": url})
    server.serve_forever()
