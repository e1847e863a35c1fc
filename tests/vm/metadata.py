"""EC2's instance metadata service, version 2: nothing without a token, and a token only by PUT.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

TOKEN = "a-token-of-the-test"
MAC = "52:54:00:12:34:56"
ROLES = "meta-data/iam/security-credentials"
NEVER = "2099-01-01T00:00:00Z"
IDENTITY = "latest/dynamic/instance-identity/document"


def answers(instance: str, region: str, user_data: bytes, secret: str = "") -> dict[str, bytes]:
    """Return what the service answers, by path below the version; with a `secret`, credentials of a role too."""
    interface = f"meta-data/network/interfaces/macs/{MAC}"
    texts = {
        "meta-data/ami-id": "ami-0123456789abcdef0",
        "meta-data/instance-id": instance,
        "meta-data/instance-type": "g5.xlarge",
        "meta-data/local-hostname": "ip-169-254-10-15.ec2.internal",
        "meta-data/hostname": "ip-169-254-10-15.ec2.internal",
        "meta-data/local-ipv4": "169.254.10.15",
        "meta-data/mac": MAC,
        "meta-data/placement/availability-zone": f"{region}a",
        "meta-data/placement/region": region,
        "meta-data/services/domain": "amazonaws.com",
        "meta-data/block-device-mapping/ami": "sda1",
        "meta-data/block-device-mapping/root": "/dev/sda1",
        f"{interface}/device-number": "0",
        f"{interface}/local-ipv4s": "169.254.10.15",
        f"{interface}/mac": MAC,
        f"{interface}/subnet-ipv4-cidr-block": "169.254.0.0/16",
    }
    found = {path: text.encode() for path, text in texts.items()}
    identity = json.dumps({"instanceId": instance, "region": region, "availabilityZone": f"{region}a"})
    if secret:
        role = {"AccessKeyId": "testing", "SecretAccessKey": secret, "Token": "a-token", "Expiration": NEVER}
        found[f"{ROLES}/writer"] = json.dumps({"Code": "Success", "Type": "AWS-HMAC", **role}).encode()
    return {**found, "user-data": user_data, "dynamic/instance-identity/document": identity.encode()}


def listing(known: dict[str, bytes], directory: str) -> bytes | None:
    """Return the names below a path, directories with a slash, as the service lists them; None where there are none."""
    prefix = directory.rstrip("/") + "/" if directory.strip("/") else ""
    names = {path[len(prefix) :] for path in known if path.startswith(prefix)}
    shown = sorted({name.split("/")[0] + ("/" if "/" in name else "") for name in names if name})
    return "\n".join(shown).encode() if shown else None


class Handler(BaseHTTPRequestHandler):
    """Answers one instance."""

    known: ClassVar[dict[str, bytes]]
    refused: ClassVar[list[str]]

    def do_PUT(self) -> None:
        """Give the token."""
        right = self.path == "/latest/api/token" and "X-aws-ec2-metadata-token-ttl-seconds" in self.headers
        self._answer(200 if right else 400, TOKEN.encode() if right else b"")

    def do_GET(self) -> None:
        """Answer what is asked with the token."""
        if self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
            self.refused.append(self.path)
            self._answer(401, b"")
            return
        _, _, path = self.path.lstrip("/").partition("/")
        found = self.known.get(path)
        if found is None:
            found = listing(self.known, path)
        self._answer(404 if found is None else 200, found or b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-aws-ec2-metadata-token-ttl-seconds", "21600")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def serve(known: dict[str, bytes]) -> ThreadingHTTPServer:
    """Serve on a free port of loopback, in a thread; `refused` of its handler holds what was asked without a token."""
    handler = type("OneInstance", (Handler,), {"known": known, "refused": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
