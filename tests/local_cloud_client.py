"""The local cloud as a test sees it: its scenario to set, its calls to count, and AWS clients to look with."""

from __future__ import annotations

import json
import urllib.request
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from ec2lab.aws.local_server import LocalServer

TESTING = "testing"
"""The access key id of the tests' own clients."""
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class LocalCloud:
    """One running local cloud."""

    def __init__(self, server: LocalServer) -> None:
        self.url = server.url
        self.secret = server.secret

    def scenario(self, **rules: Any) -> None:
        """Set the scenario; what is not named is calm."""
        self._send("scenario", rules)

    def reset(self) -> None:
        """Begin again: seeded, calm, no call seen."""
        self._send("reset", {})

    def snapshot(self) -> str:
        """Keep the whole cloud as it is; return the id to restore it by, until the next reset."""
        return self._send("snapshot", {})["id"]

    def restore(self, snapshot: str) -> None:
        """Let the whole cloud be as it was at a snapshot."""
        self._send("restore", {"id": snapshot})

    def end(self, instance: str, region: str, code: str, message: str = "") -> None:
        """Let EC2 take an instance away."""
        self._send("end", {"instance": instance, "region": region, "code": code, "message": message})

    def advance(self, seconds: float) -> None:
        """Let time pass at once, on the cloud and for all that live by its clock."""
        self._send("advance", {"seconds": seconds})

    def stop_clock(self) -> None:
        """Let no more time pass but by being advanced, by this test or by scripts that wait."""
        self._send("stop-clock", {})

    def hurry(self) -> None:
        """Let instances that are between two states be in the second one."""
        self._send("hurry", {})

    def mark(self, instance: str) -> None:
        """Let EC2 announce that it takes a spot instance away."""
        self._send("mark", {"instance": instance})

    def host(self, instance: str, region: str, address: str, console: str) -> None:
        """Let an instance be a real host that has printed a text on its console."""
        self._send("host", {"instance": instance, "region": region, "address": address, "console": console})

    def calls(self, action: str | None = None, *, everyone: bool = False) -> list[dict[str, Any]]:
        """Return the calls on the wire: the lab's, or everyone's, this test's own clients among them."""
        seen = self.ask("GET", "calls")
        return [c for c in seen if (everyone or c["key"] != TESTING) and action in (None, c["action"])]

    def inventory(self) -> list[dict[str, Any]]:
        """Return all that there is in all regions: kind, id, region, state and tags."""
        return self.ask("GET", "inventory")

    def client(self, service: str, region: str) -> Any:
        """Return a boto3 client that asks each thing once."""
        return _client(self.url, self.secret, service, region)

    def credentials(self, key: str = TESTING) -> dict[str, str]:
        """Return the environment in which AWS's tools call this local cloud, by an access key id."""
        return {"AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": self.secret}

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Make a control request. Raises HTTPError where it is refused."""
        headers = {"Authorization": f"Bearer {self.secret}"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/lab/{path}", data, headers, method=method)
        with OPENER.open(request) as answer:
            return json.load(answer)

    def _send(self, what: str, body: dict[str, Any]) -> Any:
        return self.ask("POST", what, body)


@cache
def _client(url: str, secret: str, service: str, region: str) -> Any:
    """Make a client, which takes longer than most tests, once for all tests of a process."""
    config = Config(retries={"total_max_attempts": 1}, proxies={})
    return _session(secret).client(service, region, endpoint_url=url, config=config)


@cache
def _session(secret: str) -> boto3.Session:
    return boto3.Session(TESTING, secret)
