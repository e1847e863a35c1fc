"""A line of the registry: what was asked of AWS, what it answered, or what the lab noted, a launch for one."""

from __future__ import annotations

import getpass
import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ec2lab import clock
from ec2lab.aws.account import Account

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = 1
"""The version of this layout, written into every record; a reader refuses a newer one."""


class Event(StrEnum):
    """What a record says of its call."""

    INTENT = "intent"
    """About to be sent; on disk before the call leaves."""
    RESPONSE = "response"
    """AWS answered with success."""
    ERROR = "error"
    """AWS refused, or no answer came."""
    REPEATED = "repeated"
    """A poll gave the answer of the record named in `parent_id` another `times` times, last at `time`."""
    ANNOTATION = "annotation"
    """The lab's own word on what it decided, for the reader."""


EVENTS = {event.value: event for event in Event}


def new_id() -> str:
    """Return a fresh record id: 32 hexadecimal digits, also fit to be a ClientToken (at most 64 ASCII characters)."""
    return uuid.uuid4().hex


def now() -> str:
    """Return the time as the registry writes it: RFC 3339, UTC, milliseconds."""
    return clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Return the time, in UTC, that RFC 3339 text tells: a record's, or AWS's in one."""
    return datetime.fromisoformat(text).astimezone(UTC)


def local_user() -> str:
    """Return the local user's name. In a container it may have none but a number."""
    try:
        return _in_unicode(getpass.getuser())
    except (KeyError, OSError):
        return str(os.getuid())


def person() -> str:
    """Return who is at work: user@host."""
    return f"{local_user()}@{_in_unicode(socket.gethostname())}"


def _in_unicode(name: str) -> str:
    """Return a name that the system gave, with a question mark for each byte that is no UTF-8: records hold none."""
    return name.encode(errors="replace").decode()


def actor() -> str:
    """Return who acts: user@host:process."""
    return f"{person()}:{os.getpid()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One registry record. Fields that do not apply are None and are left out of the file."""

    event: Event
    id: str = field(default_factory=new_id)
    time: str = field(default_factory=now)
    partition: str | None = None
    account: str | None = None
    """The account that was asked, with its partition; "local" is the partition of local clouds."""
    parent_id: str | None = None
    """The id of the intent that an answer or error closes, or of the answer that a repeat counts."""
    experiment: str | None = None
    script: str | None = None
    actor: str | None = None
    service: str | None = None
    region: str | None = None
    operation: str | None = None
    request: dict[str, Any] | None = None
    response: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    """`code`, `message` and `http_status` (None where no answer came)."""
    request_id: str | None = None
    times: int | None = None
    annotation: dict[str, Any] | None = None
    format: int = FORMAT

    @property
    def by(self) -> str:
        """Who made it: user@host, without the process."""
        return (self.actor or "").rpartition(":")[0]

    @property
    def whose(self) -> Account | None:
        """The account that it speaks of; None where that was not known."""
        return Account(self.partition, self.account) if self.partition and self.account else None

    def as_json(self) -> dict[str, Any]:
        """Return the record as it stands in the file, without empty fields."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}

    @classmethod
    def from_json(cls, loaded: Any) -> Record:
        """Read a record back; fields of later versions are ignored. Raises BadRecord, which says what is wrong."""
        from ec2lab.registry.record_model import validated

        known = validated(loaded)
        return cls(**{**known, "event": EVENTS[known["event"]]})


def by_account(records: Iterable[Record]) -> dict[Account | None, list[Record]]:
    """Return records by the account that they speak of, each account's in their order."""
    found: dict[Account | None, list[Record]] = {}
    for record in records:
        found.setdefault(record.whose, []).append(record)
    return found


RUN = "run"
"""The annotation by which a launch says what it is about to run."""
LAUNCHED = "launched"
"""The annotation by which a launch says that it ended well, with these instances."""
PROVENANCE = "provenance"
"""Beside it: what each instance was made from."""
FAILED = "failed"
"""The annotation by which a launch says why it failed, or was refused before AWS was asked for anything."""
NOT_REACHED = "not_reached"
"""The annotation by which a launch that ended well says why nobody could log in to see to its set-up."""
EXITED = "exited"
"""The annotation by which the lab says how an experiment's command ended: `exit_code`."""
PULLS = "pulls"
"""The annotation by which `make dataset-build` says from where the next launch pulls."""


def origin(region: str, instance: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an instance was made from: its region, type and image, and the snapshot of each device that had
    one.
    """  # noqa: D205
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
