"""An AWS call as it arrives: caller, region, operation."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from local_cloud.responses import Protocol

SCOPE = re.compile(r"Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
EBS = {  # https://docs.aws.amazon.com/ebs/latest/APIReference/API_Operations.html, but for ListChangedBlocks
    ("POST", r"/snapshots"): "StartSnapshot",
    ("PUT", r"/snapshots/(?P<snapshot>[^/]+)/blocks/(?P<block>\d+)"): "PutSnapshotBlock",
    ("POST", r"/snapshots/completion/(?P<snapshot>[^/]+)"): "CompleteSnapshot",
    ("GET", r"/snapshots/(?P<snapshot>[^/]+)/blocks"): "ListSnapshotBlocks",
    ("GET", r"/snapshots/(?P<snapshot>[^/]+)/blocks/(?P<block>\d+)"): "GetSnapshotBlock",
}
S3 = {
    ("HEAD", r"/[^/]+/?"): "HeadBucket",
    ("GET", r"/[^/]+/?"): "ListObjectsV2",
    ("GET", r"/[^/]+/(?P<key>.+)"): "GetObject",
    ("PUT", r"/[^/]+/?"): "CreateBucket",
    ("PUT", r"/[^/]+/(?P<key>.+)"): "PutObject",
}
"""Only those that the lab and its instances use, by path
(https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html)."""
ROUTES = {"ebs": EBS, "s3": S3}
STARTED = ("ParentSnapshotId", "Tags")
NAMING = ("TableName", "Names")
ACCOUNT = os.environ.get("MOTO_ACCOUNT_ID", "123456789012")  # the only account; moto reads the same variable


@dataclass
class Call:
    """A call; `params` are those of the EC2 query protocol, flat: {"Placement.AvailabilityZone": …}."""

    service: str
    region: str
    action: str
    params: dict[str, str]
    key: str = field(repr=False)  # the access key of the caller
    environ: dict[str, Any] = field(repr=False)
    body: bytes = field(repr=False)

    @classmethod
    def read(cls, environ: dict[str, Any]) -> Call:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        scope = SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        service, region, key = (scope["service"], scope["region"], scope["key"]) if scope else ("", "", "")
        if service in ROUTES:  # the body is data there
            action, _ = route(service, environ["REQUEST_METHOD"], environ["PATH_INFO"])
            return cls(service, region, action, {}, key, environ, body)
        params = {} if target(environ) else dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        return cls(service, region, target(environ) or params.get("Action", ""), params, key, environ, body)

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"{}")

    @property
    def protocol(self) -> Protocol:
        if target(self.environ) or self.service == "ebs":
            return "json"
        return "ec2" if self.service == "ec2" else "query"

    def changes_something(self) -> bool:
        return not self.action.startswith(("Describe", "Get", "List"))

    def numbered(self, prefix: str) -> list[dict[str, str]]:
        """Return the items of a list parameter: `numbered("Filter")` -> [{"Name": …, "Value.1": …}, …]."""
        items: dict[int, dict[str, str]] = {}
        for key, value in self.params.items():
            if found := re.fullmatch(rf"{re.escape(prefix)}\.(\d+)(?:\.(.+))?", key):
                items.setdefault(int(found[1]), {})[found[2] or ""] = value
        return [items[number] for number in sorted(items)]

    def values(self, prefix: str) -> list[str]:
        """Return the plain values of a list parameter: `values("SecurityGroupId")`."""
        return [item[""] for item in self.numbered(prefix)]

    def rewritten(self) -> dict[str, Any]:
        body = urlencode(self.params).encode() if self.params else self.body
        return {**self.environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}

    def shown(self) -> dict[str, str]:
        """Return the parameters without bodies and secrets; of other protocols, those that name a resource."""
        if self.service in ROUTES:
            return {"Path": str(self.environ["PATH_INFO"]), **_text(self._members("StartSnapshot", STARTED))}
        if target(self.environ):
            return _text(_named(self.json))
        return {key: value for key, value in self.params.items() if key not in ("UserData", "Action", "Version")}

    def _members(self, action: str, names: Iterable[str]) -> dict[str, Any]:
        return {name: self.json[name] for name in names if name in self.json} if self.action == action else {}


def _named(body: Any) -> dict[str, Any]:
    """Return the members of a JSON request, at any depth, that name a resource."""
    inner = body.values() if isinstance(body, dict) else body if isinstance(body, list) else ()
    own = {name: body[name] for name in NAMING if name in body} if isinstance(body, dict) else {}
    return {name: value for part in inner for name, value in _named(part).items()} | own


def _text(members: Mapping[str, Any]) -> dict[str, str]:
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in members.items()}


def target(environ: dict[str, Any]) -> str:
    return str(environ.get("HTTP_X_AMZ_TARGET", "")).rpartition(".")[2]


def route(service: str, method: str, path: str) -> tuple[str, dict[str, str]]:
    for (wanted, pattern), action in ROUTES[service].items():
        if method == wanted and (found := re.fullmatch(pattern, path)):
            return action, found.groupdict()
    return "", {}
