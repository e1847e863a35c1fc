"""A record: a call to AWS, its response, or an annotation of the lab."""

from __future__ import annotations

import getpass
import os
import socket
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from ec2lab import clock
from ec2lab.aws.account import Account

FORMAT = 1
"""The version of this format, in every record. Newer ones are refused."""


class Event(StrEnum):
    """The type of a record."""

    INTENT = "intent"
    """About to be sent; on disk before the call is sent."""
    RESPONSE = "response"
    """AWS responded with success."""
    ERROR = "error"
    """AWS returned an error, or there was no response."""
    REPEATED = "repeated"
    """A poll returned the response in `parent_id` another `times` times, last at `time`."""
    ANNOTATION = "annotation"
    """A decision of the lab, for the reader."""


EVENTS = {event.value: event for event in Event}


def new_id() -> str:
    """Return a new record id: 32 hexadecimal digits, also valid as a ClientToken (at most 64 ASCII characters)."""
    return uuid.uuid4().hex


def now() -> str:
    """Return the current time in the registry's format: RFC 3339, UTC, milliseconds."""
    return clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Return an RFC 3339 time, of a record or of AWS, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def local_user() -> str:
    """Return the local user's name; in a container it may be a number."""
    try:
        return _in_unicode(getpass.getuser())
    except (KeyError, OSError):
        return str(os.getuid())


def person() -> str:
    """Return the current user: user@host."""
    return f"{local_user()}@{_in_unicode(socket.gethostname())}"


def _in_unicode(name: str) -> str:
    """Return a name from the system, with a question mark for each byte that is not UTF-8: records contain none."""
    return name.encode(errors="replace").decode()


def actor() -> str:
    """Return the current process: user@host:process."""
    return f"{person()}:{os.getpid()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record. Fields that do not apply are None and are not stored."""

    event: Event
    id: str = field(default_factory=new_id)
    time: str = field(default_factory=now)
    partition: str | None = None
    account: str | None = None
    """The account that was called, in its partition; "local" is the partition of local clouds."""
    parent_id: str | None = None
    """The id of the intent that a response or error closes, or of the response that a repeat counts."""
    experiment: str | None = None
    script: str | None = None
    actor: str | None = None
    service: str | None = None
    region: str | None = None
    operation: str | None = None
    request: dict[str, Any] | None = None
    response: dict[str, Any] | None = None
    error: dict[str, Any] | None = None  # `code`, `message` and `http_status` (None without a response)
    request_id: str | None = None
    times: int | None = None
    annotation: dict[str, Any] | None = None
    format: int = FORMAT

    @property
    def by(self) -> str:
        """The caller: user@host, without the process."""
        return (self.actor or "").rpartition(":")[0]

    @property
    def whose(self) -> Account | None:
        """The account that it concerns; None if unknown."""
        return Account(self.partition, self.account) if self.partition and self.account else None

    def as_json(self) -> dict[str, Any]:
        """Return the record as stored, without empty fields."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}

    @classmethod
    def from_json(cls, loaded: Any) -> Record:
        """Return a record from JSON, without fields of later versions. Raises BadRecord."""
        from ec2lab.registry.record_model import validated

        known = validated(loaded)
        return cls(**{**known, "event": EVENTS[known["event"]]})


def by_account(records: Iterable[Record]) -> dict[Account | None, list[Record]]:
    found: dict[Account | None, list[Record]] = {}
    for record in records:
        found.setdefault(record.whose, []).append(record)
    return found


RUN = "run"  # the annotation of a launch: what it is about to run
COMMAND_DIGEST = "command_sha256"
LAUNCHED = "launched"  # the annotation of a successful launch: its instances
PROVENANCE = "provenance"  # with it: the provenance of each instance
RESUMES = "resumes"
"""In the annotation of a launch: the origins of the runs whose outputs it continues, by the order of its instances."""
OUTPUTS = "outputs"
"""In an instance's provenance: the `uri` below which it uploads its outputs, if its experiment has any."""
FAILED = "failed"  # the annotation of a failed or refused launch: the reason
NOT_REACHED = "not_reached"  # the annotation of a successful launch whose set-up could not be checked: the reason
EXITED = "exited"  # the annotation of an experiment's command that exited: its `exit_code`
CONTAINERS = "containers"
"""The annotation of an experiment's containers once their image is pulled: its digests, one if the tag did not move."""
PULLS = "pulls"  # the annotation of `make dataset-build`: what the next launch downloads


def origin(region: str, instance: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """Return an instance's provenance: region, type, image, and the snapshots of its devices."""
    return {
        "instance": instance["InstanceId"],
        "region": region,
        "type": instance["InstanceType"],
        "image": instance["ImageId"],
        "snapshots": {
            mapping["DeviceName"]: mapping["Ebs"]["SnapshotId"]
            for mapping in request.get("BlockDeviceMappings", ())
            if "SnapshotId" in mapping.get("Ebs", {})
        },
    }
