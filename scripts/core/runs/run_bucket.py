"""What machines put into an experiment's bucket: the log of its command in parts, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from scripts.core.errors import LabError
from scripts.core.hosts.said import MOST
from scripts.core.runs.ending import Ending, ending_in
from scripts.core.session import Session

MISSING = ("NoSuchKey", "404")
"""Without leave to list the bucket, S3 says AccessDenied of what is not there
(https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html)."""
LARGEST_PART = 64 * 1024 * 1024
"""Bytes: machines write parts of 8 MiB (templates/tell-bucket.py)."""


@dataclass(frozen=True)
class RunBucket:
    """The objects of one machine of an experiment."""

    client: Any
    bucket: str
    prefix: str
    """Without a slash at its end."""

    def __str__(self) -> str:
        """Return its address."""
        return f"s3://{self.bucket}/{self.prefix}"

    def ending(self) -> Ending | None:
        """Return how the command ended; None while that has not been told. Raises LabError."""
        try:
            return ending_in(self._text("ended.json", MOST), f"{self}/ended.json")
        except ClientError as refusal:
            if refusal.response["Error"]["Code"] in MISSING:
                return None
            raise self._unreadable(refusal) from refusal

    def log_after(self, last: str) -> Iterator[tuple[str, str]]:
        """Yield the parts of the log after one, in their order: each part's key, and its text. Raises LabError."""
        try:
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=f"{self.prefix}/log/", StartAfter=last
            )
            for page in pages:
                for found in page.get("Contents", ()):
                    yield found["Key"], self._text(found["Key"].removeprefix(f"{self.prefix}/"), LARGEST_PART)
        except ClientError as refusal:
            raise self._unreadable(refusal) from refusal

    def _text(self, name: str, most: int) -> str:
        """Return what is in an object of at most so many bytes: whoever writes into the bucket may write anything."""
        found = self.client.get_object(Bucket=self.bucket, Key=f"{self.prefix}/{name}")
        content: bytes = found["Body"].read(most + 1)
        if len(content) > most:
            raise LabError(f"{self}/{name}: has more than {most >> 20} MiB, which the lab never writes; it is not read")
        return content.decode(errors="replace")

    def _unreadable(self, refusal: ClientError) -> LabError:
        error = refusal.response["Error"]
        return LabError(f"{self}: can't be read ({error['Code']}: {error.get('Message', '')})")


def run_bucket(session: Session, address: str, experiment: str, instance: str) -> RunBucket:
    """Return where a machine of an experiment puts its log, below `s3://bucket/prefix`.

    Reading it is no doing of the lab's, and is not recorded.
    """
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    place = "/".join(part for part in (prefix.strip("/"), experiment, instance) if part)
    client = session.clients.make("s3", session.lab.regions[0], attempts=8)
    return RunBucket(client, bucket, place)
