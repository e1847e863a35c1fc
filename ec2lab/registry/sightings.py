"""What AWS no longer showed when it was queried: by id, or in a full listing of a region. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from ec2lab.aws.account import Account
from ec2lab.registry.record import Event, Record, parse_time

CONSISTENCY_WINDOW = timedelta(minutes=2)
"""For how long after its creation, or after it was shown, AWS may not show a live resource."""
DESCRIBE_CALLS = {
    "DescribeInstances": ("instance-id", "Instances", "InstanceId"),
    "DescribeVolumes": ("volume-id", "Volumes", "VolumeId"),
    "DescribeSnapshots": ("snapshot-id", "Snapshots", "SnapshotId"),
    "DescribeAddresses": ("allocation-id", "Addresses", "AllocationId"),
}
"""For each describe operation: the filter for ids, the member of the response, and the member with the id."""
PAGED = {"Filters", "OwnerIds", "MaxResults", "NextToken"}
"""Members of requests that limit results to nothing but what the filters select."""


class Sightings:
    """When AWS did not show a resource although it was queried for it."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._missed: dict[str, list[datetime]] = defaultdict(list)
        self._shown: dict[str, datetime] = {}  # by id, when it was last shown
        self._listings: dict[tuple[Account | None, str], list[tuple[datetime, frozenset[str]]]] = defaultdict(list)
        """Full listings of a region's volumes: when, and the ids."""
        self._pages: dict[tuple[Account | None, str], frozenset[str]] = {}
        sightings: dict[str | None, tuple[frozenset[str], list[str]]] = {}
        for record in records:
            if record.event is Event.RESPONSE and record.operation in DESCRIBE_CALLS:
                shown = frozenset(_shown_in(record))
                sightings[record.id] = shown, [one for one in _asked_in(record) if one not in shown]
                if record.operation == "DescribeVolumes":
                    self._note_listing(record, shown)
            sighting = sightings.get(record.parent_id if record.event is Event.REPEATED else record.id)
            if sighting:
                self._note(parse_time(record.time), *sighting)

    def _note(self, at: datetime, shown: Iterable[str], missed: Iterable[str]) -> None:
        self._shown |= dict.fromkeys(shown, at)
        for identity in missed:
            self._missed[identity].append(at)

    def _note_listing(self, record: Record, shown: frozenset[str]) -> None:
        request, place = record.request or {}, (record.whose, record.region or "")
        if request.get("Filters") or request.get("VolumeIds"):
            return
        self._pages[place] = shown | (self._pages.get(place, frozenset()) if "NextToken" in request else frozenset())
        if not (record.response or {}).get("NextToken"):
            self._listings[place].append((parse_time(record.time), self._pages[place]))

    def gone_by(self, identity: str, began: datetime) -> datetime | None:
        """Return when AWS, queried for an id, first did not know it."""
        since = max(began, self._shown.get(identity, began))
        return next((at for at in self._missed.get(identity, ()) if at - since > CONSISTENCY_WINDOW), None)

    def unlisted_by(self, identity: str, whose: Account | None, region: str, began: datetime) -> datetime | None:
        """Return the same for a volume, also from full listings of its region, which `make audit` makes."""
        listings, since = self._listings.get((whose, region), ()), max(began, self._shown.get(identity, began))
        unlisted = (at for at, shown in listings if at - since > CONSISTENCY_WINDOW and identity not in shown)
        return min(filter(None, (self.gone_by(identity, began), next(unlisted, None))), default=None)


def _shown_in(record: Record) -> Iterator[str]:
    """Yield the ids in the response to a describe call."""
    _, member, name = DESCRIBE_CALLS[str(record.operation)]
    response: dict[str, Any] = record.response or {}
    groups = response.get("Reservations", ()) if member == "Instances" else (response,)
    yield from (str(found[name]) for group in groups for found in group.get(member, ()) if name in found)


def _asked_in(record: Record) -> Iterator[str]:
    """Yield the ids that a describe call asked for, if it was limited by nothing else."""
    request, response = record.request or {}, record.response or {}
    if "NextToken" in request or response.get("NextToken") or request.keys() - PAGED:
        return
    match request.get("Filters"):
        case [{"Name": name, "Values": [*ids]}] if name == DESCRIBE_CALLS[str(record.operation)][0]:
            yield from map(str, ids)
