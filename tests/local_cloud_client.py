"""The local cloud as a test sees it: its weather to set, its calls to count, and AWS clients to look with."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import boto3
from botocore.config import Config

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class LocalCloud:
    """One running local cloud."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = boto3.Session("testing", "testing")
        self._clients: dict[tuple[str, str], Any] = {}

    def weather(self, **rules: Any) -> None:
        """Set the weather; what is not named is calm."""
        self._send("weather", rules)

    def reset(self) -> None:
        """Begin anew: seeded, calm, no call seen."""
        self._send("reset", {})

    def end(self, instance: str, region: str, code: str, message: str = "") -> None:
        """Let EC2 take a machine away."""
        self._send("end", {"instance": instance, "region": region, "code": code, "message": message})

    def calls(self, action: str | None = None) -> list[dict[str, Any]]:
        """Return the calls of the lab on the wire, those of this test's own clients left out."""
        with OPENER.open(f"{self.url}/lab/calls") as answer:
            seen = json.load(answer)
        return [c for c in seen if c["key"] != "testing" and action in (None, c["action"])]

    def client(self, service: str, region: str) -> Any:
        """Return a boto3 client that asks each thing once."""
        if (service, region) not in self._clients:
            self._clients[service, region] = self._session.client(
                service, region, endpoint_url=self.url, config=Config(retries={"total_max_attempts": 1}, proxies={})
            )
        return self._clients[service, region]

    def _send(self, what: str, body: dict[str, Any]) -> None:
        request = urllib.request.Request(f"{self.url}/lab/{what}", json.dumps(body).encode(), method="POST")
        with OPENER.open(request) as answer:
            answer.read()
