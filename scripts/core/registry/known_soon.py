"""A call that names what was made a moment ago: EC2 may not know it yet, and is asked again until it does.

What Describe shows may still be unknown to the next call, for up to two minutes as others have seen it; the error then
is the one for what does not exist (https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html). What is
young is decided by the registry, so it holds across processes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from scripts.core import clock
from scripts.core.polling import growing
from scripts.core.registry.record import Record, moment_of
from scripts.core.registry.registry import Registry

if TYPE_CHECKING:
    from botocore.model import OperationModel

WINDOW = timedelta(minutes=2)
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
ENDING = ("Delete", "Terminate", "Release", "Detach")
"""Operations after which it would be gone anyway: who deletes asks again himself, and says so."""

WAITED = "ec2_lab_waited"
"""Where botocore's dictionary for one call counts how often it was sent again for this reason."""
PAUSES = "ec2_lab_pauses"


@dataclass(frozen=True, slots=True)
class KnownSoon:
    """Decides which refusals are to be met with the same call again."""

    registry: Registry
    codes: Collection[str]
    """The errors that say that something does not exist."""

    def wait(self, response: Any, operation: OperationModel, request_dict: Any, **_: Any) -> float | None:
        """Wait, as a handler of botocore's `needs-retry`, and return 0 to have the call sent again; else None."""
        error = response[1].get("Error", {}) if response else {}
        if error.get("Code") not in self.codes or operation.name.startswith(ENDING):
            return None
        # AWS names what it does not know, and the request names much else that is old.
        asked = {value for value in request_dict["body"].values() if isinstance(value, str)}
        named = {one for one in asked if f"'{one}'" in error.get("Message", "")}
        heard = first_heard(self.registry.records(), named)
        if heard is None or clock.now() - heard > WINDOW:
            return None
        context = request_dict["context"]
        context[WAITED] = context.get(WAITED, 0) + 1
        clock.sleep(next(context.setdefault(PAUSES, growing(FIRST_PAUSE, LONGEST_PAUSE))))
        return 0.0


def first_heard(records: Iterable[Record], named: Collection[str]) -> datetime | None:
    """Return when AWS first told of the youngest of some ids that it told of at all."""
    first: dict[str, str] = {}
    for record in records:
        if record.response is not None and (left := [one for one in named if one not in first]):
            told = json.dumps(record.response)
            first |= {one: record.time for one in left if f'"{one}"' in told}
    return max(map(moment_of, first.values()), default=None)
