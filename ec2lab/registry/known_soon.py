"""A call that names what was made a moment ago: AWS may not know it yet, and is asked again until it does.

What Describe shows may still be unknown to the next call, for up to two minutes as others have seen it; the error then
is the one for what does not exist (https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html). What is
young is decided by the registry, so it holds across processes. Only after the two minutes does the error mean what it
says.
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

SERVICES = ("ec2", "iam", "ebs")
"""Those that are asked again, as botocore's events have their names."""
WINDOW = timedelta(minutes=2)
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
ENDING = ("Delete", "Terminate", "Release", "Detach")
"""Operations after which it would be gone anyway: who deletes asks again himself, and says so."""
DELETING = ("Delete", "Terminate", "Release")
LOOKING = ("Get", "List")
"""In IAM and the EBS direct APIs those look whether something is there: no is a response."""
INVALID_PROFILE = "iaminstanceprofile"
"""What the message of an InvalidParameterValue has in it where EC2 does not know an instance profile: `Value (NAME) for
parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name`."""

WAITED = "ec2_lab_waited"
"""Where botocore's dictionary for one call counts how often it was sent again for this reason."""
PAUSES = "ec2_lab_pauses"


@dataclass(frozen=True, slots=True)
class KnownSoon:
    """Decides which refusals are to be met with the same call again."""

    registry: Registry
    codes: Collection[str]
    """The errors that say that something does not exist."""
    _heard: dict[str, datetime] = field(default_factory=dict)
    """Of what was found to be young: when AWS first told of it."""

    def wait(self, response: Any, operation: OperationModel, request_dict: Any, **_: Any) -> float | None:
        """Wait, as a handler of botocore's `needs-retry`, and return 0 to have the call sent again; else None."""
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
        """Say whether an error is about something that does not exist, and the call needs it to."""
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
        """Return when AWS first told of the youngest of some names; looked up once for all calls that name the same."""
        if set(named) - self._heard.keys():
            heard = first_heard(self.registry.records(), named)
            self._heard.update({one: heard[one] for one in named if one in heard})
        return max((self._heard[one] for one in named if one in self._heard), default=None)


def named_in(request: Mapping[str, Any], message: str, service: str) -> set[str]:
    """Return what an error is about: of the names in a request, those in its message, as much else there is old."""
    if service == "ebs":  # the path has the snapshot, and the message may not
        return {part for part in str(request.get("url_path", "")).split("/") if part.startswith("snap-")}
    body = request["body"] if isinstance(request["body"], dict) else {}
    asked = {value for value in body.values() if isinstance(value, str)}
    return {one for one in asked if re.search(rf"(?<![\w-]){re.escape(one)}(?![\w-])", message)}


def first_heard(records: Iterable[Record], named: Collection[str]) -> dict[str, datetime]:
    """Return when AWS first told of each of some names; nothing of those that it never did, or that were deleted."""
    first: dict[str, str] = {}
    gone: set[str] = set()
    for record in records:
        if record.event is Event.INTENT and str(record.operation).startswith(DELETING):
            asked = json.dumps(record.request)
            gone |= {one for one in named if f'"{one}"' in asked}
        elif record.response is not None and (left := [one for one in named if one not in first]):
            told = json.dumps(record.response)
            first |= {one: record.time for one in left if f'"{one}"' in told}
    return {one: parse_time(time) for one, time in first.items() if one not in gone}
