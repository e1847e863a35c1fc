"""What looks at AWS did not show any more: by its id, or in a whole listing of its region. Pure."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from ec2lab.registry.account import Account
from ec2lab.registry.record import Event, Record, parse_time

SETTLING = timedelta(minutes=2)
"""How young a thing may be that AWS does not show although it lives."""
BY_ID = {
    "DescribeInstances": "instance-id", "DescribeVolumes": "volume-id", "DescribeSnapshots": "snapshot-id",
    "DescribeAddresses": "allocation-id",
}  # fmt: skip
"""Of what costs something, the filter that names one by its id."""
PAGED = {"Filters", "OwnerIds", "MaxResults", "NextToken"}
"""Members of a request that leave out nothing but what the filters do."""


@dataclass(frozen=True, slots=True)
class Listing:
    """All volumes of a region."""

    at: datetime
    shown: frozenset[str]


class Looks:
    """When AWS, asked for it, did not show a thing."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._missed: dict[str, list[datetime]] = defaultdict(list)
        self._listings: dict[tuple[Account | None, str], list[Listing]] = defaultdict(list)
        self._pages: dict[tuple[Account | None, str], frozenset[str]] = {}
        asked: dict[str | None, list[str]] = {}
        for record in records:
            if record.event is Event.RESPONSE and record.operation in BY_ID:
                asked[record.id] = list(missed_in(record))
                if record.operation == "DescribeVolumes":
                    self._note_listing(record)
            elif record.event is not Event.REPEATED:
                continue
            for identity in asked.get(record.parent_id if record.event is Event.REPEATED else record.id, ()):
                self._missed[identity].append(parse_time(record.time))

    def _note_listing(self, record: Record) -> None:
        request, response, place = record.request or {}, record.response or {}, (record.whose, record.region or "")
        if request.get("Filters") or request.get("VolumeIds"):
            return
        shown = self._pages.get(place, frozenset()) if "NextToken" in request else frozenset()
        self._pages[place] = shown | {found["VolumeId"] for found in response.get("Volumes", ())}
        if not response.get("NextToken"):
            self._listings[place].append(Listing(parse_time(record.time), self._pages[place]))

    def gone_by(self, identity: str, began: datetime) -> datetime | None:
        """Return when AWS, asked for a thing by its id, first did not know it any more."""
        return next((at for at in self._missed.get(identity, ()) if at - began > SETTLING), None)

    def unlisted_by(self, identity: str, whose: Account | None, region: str, began: datetime) -> datetime | None:
        """Return the same of a volume; `make audit` lists all of a region's."""
        listings = self._listings.get((whose, region), ())
        unlisted = (one.at for one in listings if one.at - began > SETTLING and identity not in one.shown)
        return min(filter(None, (self.gone_by(identity, began), next(unlisted, None))), default=None)


def missed_in(record: Record) -> Iterator[str]:
    """Yield the ids that a description was asked for, by nothing else, and that its response has not."""
    request, response = record.request or {}, record.response or {}
    if "NextToken" in request or response.get("NextToken") or request.keys() - PAGED:
        return
    match request.get("Filters"):
        case [{"Name": name, "Values": [*ids]}] if name == BY_ID[str(record.operation)]:
            told = json.dumps(response)
            yield from (str(identity) for identity in ids if f'"{identity}"' not in told)
