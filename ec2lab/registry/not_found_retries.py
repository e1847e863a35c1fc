"""Retries calls that name a resource which was created so recently that AWS may not know it yet.

What Describe shows may be unknown to the next call for up to two minutes; the error is then that of a resource that
does not exist (https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html). The registry decides what is
recent, so it holds across processes. After two minutes, the error is final.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ec2lab import clock
from ec2lab.polling import growing
from ec2lab.registry.base import Registry
from ec2lab.registry.record import Event, Record, parse_time

if TYPE_CHECKING:
    from botocore.model import OperationModel

SERVICES = ("ec2", "iam", "ebs")  # services whose calls are retried, as botocore's events name them
WINDOW = timedelta(minutes=2)
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
ENDING = ("Delete", "Terminate", "Release", "Detach")
"""Operations after which the resource would not exist anyway. Deletions have their own retries and messages."""
DELETING = ("Delete", "Terminate", "Release")
LOOKING = ("Get", "List")
"""In IAM and the EBS direct APIs, these check whether something exists: no is a valid response."""
INVALID_PROFILE = "iaminstanceprofile"
"""Part of the message of an InvalidParameterValue if EC2 does not know an instance profile: `Value (NAME) for parameter
iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name`."""

WAITED = "ec2_lab_waited"  # where botocore's dictionary for a call counts these retries
PAUSES = "ec2_lab_pauses"


@dataclass(frozen=True, slots=True)
class KnownSoon:
    """Decides which errors lead to a retry."""

    registry: Registry
    codes: Collection[str]
    _heard: dict[str, datetime] = field(default_factory=dict)  # when AWS first named each recent resource

    def wait(self, response: Any, operation: OperationModel, request_dict: Any, **_: Any) -> float | None:
        """Wait as a handler of botocore's `needs-retry`, and return 0 to retry the call; else None."""
        error = response[1].get("Error", {}) if response else {}
        if not self._is_unknown(error, operation):
            return None
        heard = self._young(named_in(request_dict, error.get("Message", ""), operation.service_model.service_name))
        if heard is None or clock.now() - heard > WINDOW:
            return None
        context = request_dict["context"]
        context[WAITED] = context.get(WAITED, 0) + 1
        clock.sleep(next(context.setdefault(PAUSES, growing(FIRST_PAUSE, LONGEST_PAUSE))))
        return 0.0

    def _is_unknown(self, error: Mapping[str, Any], operation: OperationModel) -> bool:
        """Return whether an error is about something that does not exist, although the call needs it."""
        code, message = error.get("Code"), str(error.get("Message", ""))
        if operation.name.startswith(ENDING):
            return False
        match operation.service_model.service_name:
            case "ec2" if code == "InvalidParameterValue":
                return INVALID_PROFILE in message.lower().replace(" ", "")
            case "ec2":
                return code in self.codes
            case "ebs":
                return code == "ResourceNotFoundException" and not operation.name.startswith(LOOKING)
        return code in self.codes and not operation.name.startswith(LOOKING)

    def _young(self, named: Collection[str]) -> datetime | None:
        """Return when AWS first named the most recent of some names. Cached for calls that name the same."""
        if set(named) - self._heard.keys():
            heard = first_heard(self.registry.records(), named)
            self._heard.update({one: heard[one] for one in named if one in heard})
        return max((self._heard[one] for one in named if one in self._heard), default=None)


def named_in(request: Mapping[str, Any], message: str, service: str) -> set[str]:
    """Return the names that an error is about: those of the request that its message contains."""
    if service == "ebs":  # the path contains the snapshot, and the message may not
        return {part for part in str(request.get("url_path", "")).split("/") if part.startswith("snap-")}
    body = request["body"] if isinstance(request["body"], dict) else {}
    asked = {value for value in body.values() if isinstance(value, str)}
    return {one for one in asked if re.search(rf"(?<![\w-]){re.escape(one)}(?![\w-])", message)}


def first_heard(records: Iterable[Record], named: Collection[str]) -> dict[str, datetime]:
    """Return when AWS first named each of some names, without those that it never named or that were deleted."""
    first: dict[str, str] = {}
    gone: set[str] = set()
    for record in records:
        if record.event is Event.INTENT and str(record.operation).startswith(DELETING):
            asked = json.dumps(record.request)
            gone |= {one for one in named if f'"{one}"' in asked}
        elif record.response is not None and (left := [one for one in named if one not in first]):
            response = json.dumps(record.response)
            first |= {one: record.time for one in left if f'"{one}"' in response}
    return {one: parse_time(time) for one, time in first.items() if one not in gone}
