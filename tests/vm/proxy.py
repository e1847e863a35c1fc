"""An HTTP proxy, as a company has one; it remembers whom it was asked for."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit


class Proxy(BaseHTTPRequestHandler):
    """Passes requests on to loopback, whomever they are for."""

    asked: ClassVar[set[str]]

    def do_GET(self) -> None:
        """Pass it on."""
        address = urlsplit(self.path)
        self.asked.add(address.hostname or "")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        onward = http.client.HTTPConnection("127.0.0.1", address.port or 80, timeout=60)
        onward.request(self.command, f"{address.path}?{address.query}", body, headers)
        answer = onward.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_PUT(self) -> None:
        """Pass it on."""
        self.do_GET()

    def do_POST(self) -> None:
        """Pass it on."""
        self.do_GET()

    def do_HEAD(self) -> None:
        """Pass it on."""
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def proxy() -> ThreadingHTTPServer:
    """Serve on a free port of loopback, in a thread; `asked` of its handler holds for which hosts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneProxy", (Proxy,), {"asked": set()}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
