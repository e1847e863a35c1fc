"""An HTTP server before another, as a bad day has it: requests are cut off before or after they arrive, or refused."""

from __future__ import annotations

import http.client
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"

DENIED = b"<Error><Code>AccessDenied</Code><Message>you may not</Message></Error>"


class Network(ThreadingHTTPServer):
    """Passes requests on to a URL; of those, a share goes wrong."""

    daemon_threads = True

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.onward = urlsplit(url)
        self.share, self.chance = 0.0, random.Random(7)
        self.seconds = 0.0
        """How long each request takes in addition."""
        self.refused = ""
        """What is in the names of objects that nobody may put."""
        self.requests, self.last = 0, {}
        self.at_once = self.most_at_once = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: connections are cut on purpose."""


class Passing(BaseHTTPRequestHandler):
    """Passes a request on, whole or not."""

    protocol_version = "HTTP/1.1"
    server: Network

    def do_GET(self) -> None:
        """Pass it on."""
        network = self.server
        network.requests += 1
        network.last = {"target": self.path, "who": self.headers.get("Proxy-Authorization")}
        network.at_once += 1
        network.most_at_once = max(network.at_once, network.most_at_once)
        try:
            self._pass_on(
                network.chance.choice(("before", "half", "after", "busy")) * (network.chance.random() < network.share)
            )
        finally:
            network.at_once -= 1

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815 - by the name of the method

    def _pass_on(self, fault: str) -> None:
        time.sleep(self.server.seconds)
        length = int(self.headers.get("Content-Length", 0))
        if fault in ("before", "half"):
            self.rfile.read(length // 2 if fault == "half" else 0)
            self.connection.close()
            raise ConnectionResetError
        body = self.rfile.read(length)
        if fault == "busy":
            self._answer(503, {}, SLOW_DOWN)
            return
        if self.server.refused and self.server.refused in self.path:
            self._answer(403, {}, DENIED)
            return
        onward = http.client.HTTPConnection(self.server.onward.hostname, self.server.onward.port, timeout=60)
        path = self.path.partition(self.headers["Host"])[2] if self.path.startswith("http:") else self.path
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        onward.request(self.command, path, body, headers)
        answer = onward.getresponse()
        content = answer.read()
        onward.close()
        if fault == "after":
            self.connection.close()
            raise ConnectionResetError
        self._answer(answer.status, dict(answer.getheaders()), content)

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
