"""The local cloud as a test sees it: its weather to set, its calls to count, and AWS clients to look with."""

from __future__ import annotations

import json
import urllib.request
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

SESSION = boto3.Session("testing", "testing")
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class LocalCloud:
    """One running local cloud."""

    def __init__(self, url: str) -> None:
        self.url = url

    def weather(self, **rules: Any) -> None:
        """Set the weather; what is not named is calm."""
        self._send("weather", rules)

    def reset(self) -> None:
        """Begin anew: seeded, calm, no call seen."""
        self._send("reset", {})

    def end(self, instance: str, region: str, code: str, message: str = "") -> None:
        """Let EC2 take a machine away."""
        self._send("end", {"instance": instance, "region": region, "code": code, "message": message})

    def advance(self, seconds: float) -> None:
        """Let time pass at once, on the cloud and for all that live by its clock."""
        self._send("advance", {"seconds": seconds})

    def hurry(self) -> None:
        """Let machines that are between two states be in the second one."""
        self._send("hurry", {})

    def mark(self, instance: str) -> None:
        """Let EC2 announce that it takes a spot machine away."""
        self._send("mark", {"instance": instance})

    def host(self, instance: str, region: str, address: str, console: Any) -> None:
        """Let a machine be a real host."""
        self._send("host", {"instance": instance, "region": region, "address": address, "console": str(console)})

    def calls(self, action: str | None = None, *, everyone: bool = False) -> list[dict[str, Any]]:
        """Return the calls on the wire: the lab's, or everyone's, this test's own clients among them."""
        with OPENER.open(f"{self.url}/lab/calls") as answer:
            seen = json.load(answer)
        return [c for c in seen if (everyone or c["key"] != "testing") and action in (None, c["action"])]

    def inventory(self) -> list[dict[str, Any]]:
        """Return all that there is in all regions: kind, id, region, state and tags."""
        with OPENER.open(f"{self.url}/lab/inventory") as answer:
            return json.load(answer)

    def client(self, service: str, region: str) -> Any:
        """Return a boto3 client that asks each thing once."""
        return _client(self.url, service, region)

    def _send(self, what: str, body: dict[str, Any]) -> None:
        request = urllib.request.Request(f"{self.url}/lab/{what}", json.dumps(body).encode(), method="POST")
        with OPENER.open(request) as answer:
            answer.read()


@cache
def _client(url: str, service: str, region: str) -> Any:
    """Make a client, which takes longer than most tests, once for all tests of a process."""
    config = Config(retries={"total_max_attempts": 1}, proxies={})
    return SESSION.client(service, region, endpoint_url=url, config=config)
