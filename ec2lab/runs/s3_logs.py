"""What instances upload to an experiment's bucket: the log in parts, and the exit status."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError
from pydantic_core import from_json

from ec2lab.aws.errors import format_code
from ec2lab.errors import UserError
from ec2lab.hosts.protocol import MOST
from ec2lab.registry.record_model import held_to
from ec2lab.registry.shapes import TEXT, mapping, members, several
from ec2lab.runs.exit_status import Ending, parse_exit_status
from ec2lab.runs.logs import Piece
from ec2lab.session import Session

MISSING = ("NoSuchKey", "404")
"""Without permission to list the bucket, S3 returns AccessDenied for a missing object
(https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html)."""
DENIED = ("AccessDenied", "403")
LARGEST_PART = 64 * 1024 * 1024  # bytes: instances upload parts of 32 MiB (templates/upload-log.py)


OUTPUTS_STATE = members(deleted=several(TEXT), links=mapping(TEXT))
LARGEST_STATE = 256 * 1024 * 1024  # bytes: some million names


@dataclass(frozen=True, slots=True)
class OutputsState:
    """What objects cannot tell of a directory."""

    deleted: Collection[str] = frozenset()
    """Files that the command deleted. Their objects stay."""
    links: Mapping[str, str] = field(default_factory=dict)  # the targets of symbolic links by their paths


@dataclass(frozen=True)
class S3RunLogs:
    """The objects of one instance of an experiment."""

    client: Any
    bucket: str
    prefix: str  # without a trailing slash

    def __str__(self) -> str:
        """Return its address."""
        return f"s3://{self.bucket}/{self.prefix}"

    def ending(self) -> Ending | None:
        """Return how the command ended; None while that is not uploaded. Raises UserError."""
        try:
            return parse_exit_status(self._content("ended.json", MOST).decode(errors="replace"), f"{self}/ended.json")
        except ClientError as error:
            if error.response["Error"]["Code"] in MISSING:
                return None
            raise unreadable(self, error) from error

    def outputs_state(self) -> OutputsState:
        """Return what the instance says of its outputs besides the objects. Raises UserError."""
        try:
            text = self._content("outputs.json", LARGEST_STATE)
            told = held_to(OUTPUTS_STATE, from_json(text, allow_inf_nan=False))
        except ClientError as error:
            if error.response["Error"]["Code"] in MISSING:
                return OutputsState()
            raise unreadable(self, error) from error
        except ValueError as problem:
            raise UserError(f"{self}/outputs.json: {problem}") from problem
        return OutputsState(frozenset(told["deleted"]), told["links"])

    def log_from(self, place: int) -> Iterator[Piece]:
        """Yield the log's parts that reach beyond an offset, in order. Raises UserError."""
        try:
            for begins in self._parts(place):
                yield Piece(begins, self._content(f"log/{begins:020}", LARGEST_PART))
        except ClientError as error:
            raise unreadable(self, error) from error

    def last_piece(self, place: int) -> Piece | None:
        """Return the last part of the log, if it reaches beyond an offset. Raises UserError."""
        try:
            parts = list(self._parts(place))
            return Piece(parts[-1], self._content(f"log/{parts[-1]:020}", LARGEST_PART)) if parts else None
        except ClientError as error:
            raise unreadable(self, error) from error

    def _parts(self, place: int) -> Iterator[int]:
        """Yield the offsets of parts that reach beyond an offset. A part's name is its offset."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{self.prefix}/log/",
            StartAfter=f"{self.prefix}/log/{max(0, place - LARGEST_PART):020}"[:-1],
        )  # fmt: skip
        for page in pages:
            for found in page.get("Contents", ()):
                name = found["Key"].rpartition("/")[2]
                if re.fullmatch(r"\d{20}", name, re.ASCII) and int(name) + found["Size"] > place:
                    yield int(name)

    def _content(self, name: str, most: int) -> bytes:
        """Return an object of limited size: anything may have been written to the bucket."""
        found = self.client.get_object(Bucket=self.bucket, Key=f"{self.prefix}/{name}")
        content: bytes = found["Body"].read(most + 1)
        if len(content) > most:
            raise UserError(
                f"{self}/{name}: has more than {most >> 20} MiB, which the lab never writes; it is not read"
            )
        return content


def unreadable(place: object, failure: ClientError) -> UserError:
    """Return S3's error with its message, and which permissions reading takes."""
    code, message = failure.response["Error"]["Code"], failure.response["Error"].get("Message", "")
    takes = "; it requires s3:ListBucket on the bucket and s3:GetObject on its objects" if code in DENIED else ""
    if code == "NoSuchBucket":
        takes = f" (`aws s3 mb s3://{str(place).split('/')[2]}` creates it)"
    return UserError(f"{place}: can't be read: {format_code(code, message)}{takes}")


def run_bucket(session: Session, address: str, experiment: str, instance: str) -> S3RunLogs:
    """Return where an instance of an experiment uploads its log, under `s3://bucket/prefix`.

    Reading it is not recorded.
    """
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    place = "/".join(part for part in (prefix.strip("/"), experiment, instance) if part)
    return S3RunLogs(session.once(s3_client), bucket, place)


def s3_client(session: Session) -> Any:
    """Return the client that reads buckets, in whatever region they are: botocore follows S3's redirections."""
    return session.clients.make("s3", session.lab.regions[0], attempts=8)
