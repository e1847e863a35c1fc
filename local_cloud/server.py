"""The local cloud's process: one HTTP server on loopback, its address in a file."""

from __future__ import annotations

import io
import json
import os
import secrets
import shutil
import signal
import socket
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.exceptions import NotFound
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from ec2lab.aws.local_server import ADDRESS_FILE, AWS_CONFIG_FILE, HEALTH, SSH_CONFIG_FILE, STAND_INS, proof_of
from ec2lab.files import private_directory
from local_cloud import clock
from local_cloud.access import (
    MISSING_TOKEN,
    browser_error,
    is_authorized,
    is_signed,
    signature_error,
    with_secret,
)
from local_cloud.admin_api import controlled
from local_cloud.dynamodb_patches import keep_pace
from local_cloud.hosts import key_pair
from local_cloud.moto_backend import patch_moto
from local_cloud.pipeline import Pipeline
from local_cloud.request import Call
from local_cloud.responses import Answer, ConnectionDropped, error, json_answer
from local_cloud.scenario import demo_scenario
from local_cloud.ssh_stand_in import USER_KEY, client_config, sshd

NOT_AWS = ("moto_api", "instance_metadata")
"""Backends of moto that are not AWS services: its own control API, and the instance metadata service."""
LARGEST_BODY = 64 * 1024 * 1024  # bytes of a request: more than any that the lab sends
AWS_CONFIG = """\
# For the AWS CLI and SDKs: AWS_CONFIG_FILE=this-file aws ec2 describe-instances
[default]
region = us-east-1
endpoint_url = {url}
aws_access_key_id = local
aws_secret_access_key = {secret}
"""


class Handler(WSGIRequestHandler):
    """Keeps connections open, as AWS does, and does not log."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    """A response is written in one piece, headers and body."""

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def handle_expect_100(self) -> bool:
        """Ask for a body at once: botocore waits up to a second for that before it sends S3 an object."""
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def run_wsgi(self) -> None:
        """Answer one request. werkzeug would close the connection after each, as it may leave bodies unread."""
        environ = self.make_environ()
        length = environ.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or int(length) > LARGEST_BODY:  # before a claimed length takes any memory
            self.close_connection = True
            self._write(_refusal(413, f"Content-Length: {length[:20]!r} is no length of up to {LARGEST_BODY} bytes"))
            return
        environ["wsgi.input"] = io.BytesIO(self.rfile.read(int(length)))
        self.close_connection = self.close_connection or "HTTP_TRANSFER_ENCODING" in environ
        application: Any = self.server.app
        try:
            self._write(application.answer(environ))
        except ConnectionDropped:
            self._break()

    def _write(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("x-amzn-requestid", answer.request_id)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        body = b"" if self.command == "HEAD" else answer.body
        self.wfile.write(body[: len(body) // 2] if answer.truncated else body)
        if answer.truncated:
            self.wfile.flush()
            self._break()

    def _break(self) -> None:
        """Cut the connection; closing would not, while the server's own file objects hold it."""
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def date_time_string(self, timestamp: float | None = None) -> str:
        front: Pipeline = self.server.app.front  # type: ignore[attr-defined]  # our own Application
        return super().date_time_string((timestamp or clock.now().timestamp()) + front.scenario.clock_skew)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing: GET /lab/calls tells more."""


class Server(ThreadedWSGIServer):
    """Ends by itself once its address is no longer on file, so that a deleted lab leaves no process behind."""

    def __init__(self, application: Application, directory: Path) -> None:
        super().__init__("127.0.0.1", 0, application, handler=Handler)  # type: ignore[arg-type]  # no WSGI application
        # A descriptor, because the lab's directory may be renamed while the server runs.
        self.place = directory.resolve()
        self.directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        self.on_file: os.stat_result | None = None

    def announce(self, secret: str) -> None:
        """Write the server's address and secret, each file atomically and readable only by its owner."""
        url = f"http://127.0.0.1:{self.port}"
        self._let_stand_ins_answer()
        self._write(AWS_CONFIG_FILE, AWS_CONFIG.format(url=url, secret=secret))
        address = {"pid": os.getpid(), "port": self.port, "url": url, "secret": secret}
        self._write(ADDRESS_FILE, json.dumps(address))
        self.on_file = os.stat(ADDRESS_FILE, dir_fd=self.directory)

    def _let_stand_ins_answer(self) -> None:
        """Write how ssh reaches instances, where there is an sshd. Those of an earlier server are gone."""
        shutil.rmtree(self.place / STAND_INS, ignore_errors=True)
        if sshd() is None:
            (self.place / SSH_CONFIG_FILE).unlink(missing_ok=True)
            return
        private, public = key_pair()
        self._write(USER_KEY, private)
        self._write(f"{USER_KEY}.pub", public)
        self._write(SSH_CONFIG_FILE, client_config(self.place))

    def _write(self, name: str, text: str) -> None:
        draft = f"{name}.{os.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(draft, flags, 0o600, dir_fd=self.directory), "w") as file:
            file.write(text)
        os.replace(draft, name, src_dir_fd=self.directory, dst_dir_fd=self.directory)

    def service_actions(self) -> None:
        """End the process when the address file is gone, or another server's. Called twice a second."""
        try:
            found = os.stat(ADDRESS_FILE, dir_fd=self.directory)
        except FileNotFoundError:
            os._exit(0)
        if self.on_file and not os.path.samestat(found, self.on_file):
            os._exit(0)


class Application:
    """Control requests under /lab/, and AWS behind the layer."""

    def __init__(self, front: Pipeline, secret: str) -> None:
        self.front = front
        self.secret = secret

    def answer(self, environ: dict[str, Any]) -> Answer:
        """Answer one request as WSGI. Raises ConnectionDropped where no response is to arrive."""
        if refused := browser_error(environ):
            return _refusal(403, refused)
        path = environ["PATH_INFO"]
        if path == HEALTH:
            return self._health(environ)
        if path.startswith("/lab/"):
            return self._controlled(environ, path)
        if not is_signed(environ):
            return error(MISSING_TOKEN, "query")
        call = Call.read(environ)
        if problem := signature_error(call, self.secret):
            return error(problem, call.protocol)
        answer = self.front.answer(call)
        answer.body = with_secret(call.action, answer.body, self.secret)
        return answer

    def _health(self, environ: dict[str, Any]) -> Answer:
        """Prove that the server knows the secret, without revealing it."""
        nonce = environ.get("QUERY_STRING", "")
        return json_answer({"proof": proof_of(self.secret, nonce)})

    def _controlled(self, environ: dict[str, Any], path: str) -> Answer:
        if not is_authorized(environ, self.secret):
            return _refusal(401, "a control request carries the secret of server.json: Authorization: Bearer SECRET")
        return controlled(self.front, environ["REQUEST_METHOD"], path, environ["wsgi.input"].read())


def _refusal(status: int, why: str) -> Answer:
    return json_answer({"error": why}, status)


def _aws_backend(service: Any) -> Any:
    return NotFound() if service in NOT_AWS else create_backend_app(service)


def serve(directory: Path) -> None:
    """Serve until told to stop. The address is written to directory/server.json once calls are answered."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    # moto's own images bring 1,300 snapshots of nobody's; ours are in images.py.
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
    keep_pace()
    patch_moto()
    private_directory(directory)
    clock.CLOCK.share(directory / clock.CLOCK_FILE)
    secret = secrets.token_hex(20)
    front = Pipeline(DomainDispatcherApplication(_aws_backend), demo_scenario())
    server = Server(Application(front, secret), directory)
    server.announce(secret)
    server.serve_forever()
