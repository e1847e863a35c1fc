"""The operations of REST protocols, identified by method and path."""

from __future__ import annotations

import re

EBS = {
    ("POST", r"/snapshots"): "StartSnapshot",
    ("PUT", r"/snapshots/(?P<snapshot>[^/]+)/blocks/(?P<block>\d+)"): "PutSnapshotBlock",
    ("POST", r"/snapshots/completion/(?P<snapshot>[^/]+)"): "CompleteSnapshot",
    ("GET", r"/snapshots/(?P<snapshot>[^/]+)/blocks"): "ListSnapshotBlocks",
    ("GET", r"/snapshots/(?P<snapshot>[^/]+)/blocks/(?P<block>\d+)"): "GetSnapshotBlock",
}
"""https://docs.aws.amazon.com/ebs/latest/APIReference/API_Operations.html, but for ListChangedBlocks."""
S3 = {
    ("GET", r"/[^/]+/?"): "ListObjectsV2",
    ("GET", r"/[^/]+/(?P<key>.+)"): "GetObject",
    ("PUT", r"/[^/]+/?"): "CreateBucket",
    ("PUT", r"/[^/]+/(?P<key>.+)"): "PutObject",
}
"""Only those that the lab and its instances use, by path
(https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html)."""
ROUTES = {"ebs": EBS, "s3": S3}


def route(service: str, method: str, path: str) -> tuple[str, dict[str, str]]:
    """Return a request's operation, and the names in its path."""
    for (wanted, pattern), action in ROUTES[service].items():
        if method == wanted and (found := re.fullmatch(pattern, path)):
            return action, found.groupdict()
    return "", {}
