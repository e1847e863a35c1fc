"""What snapshots cost at most, and fast snapshot restore. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ec2lab.costs.charges import Span
from ec2lab.costs.meter import KindMeter, Life
from ec2lab.costs.rates import HOUR, HourlyRate, Monthly, unlisted
from ec2lab.registry.record import Event, Record, parse_time
from ec2lab.resources.snapshot import stored_bytes
from ec2lab.units import GIB

if TYPE_CHECKING:
    from ec2lab.costs.price_book import PriceBook
    from ec2lab.registry.history import History
    from ec2lab.resources.base import Kind

FSR_OPERATIONS = {
    "EnableFastSnapshotRestores": "Successful", "DisableFastSnapshotRestores": "Successful",
    "DescribeFastSnapshotRestores": "FastSnapshotRestores",
}  # fmt: skip
"""Where the answers tell of fast restore, each with its State."""
DISABLED_STATES = ("disabled", "disabling")


class SnapshotMeter(KindMeter):
    """Snapshots cost by what they store, of which AWS tells no more than how much all their blocks are: blocks that
    two snapshots share are paid once, and counted here with each (https://aws.amazon.com/ebs/pricing/).

    Fast restore costs for each snapshot and zone while it is enabled, an hour at the least
    (https://docs.aws.amazon.com/ebs/latest/userguide/ebs-fast-snapshot-restore.html#fsr-pricing).
    """  # noqa: D205

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self._described: dict[str, Mapping[str, Any]] = {}
        self._restores: dict[tuple[str, str], list[Life]] = {}

    def add(self, record: Record) -> None:
        """Take a record in."""
        super().add(record)
        if record.event is not Event.RESPONSE:
            return
        response = record.response or {}
        if record.operation in ("CreateSnapshot", "StartSnapshot"):
            self._saw(response)
        for found in response.get("Snapshots", ()) if record.operation == "DescribeSnapshots" else ():
            self._saw(found)
        if member := FSR_OPERATIONS.get(record.operation or ""):
            for found in response.get(member, ()):
                (self._no_restore if found["State"] in DISABLED_STATES else self._restore)(record, found)

    def _saw(self, found: Mapping[str, Any]) -> None:
        self._described[found["SnapshotId"]] = {**self._described.get(found["SnapshotId"], {}), **found}

    def _restore(self, record: Record, found: Mapping[str, Any]) -> None:
        times_of_it = self._restores.setdefault((found["SnapshotId"], found["AvailabilityZone"]), [])
        if times_of_it and times_of_it[-1].ended is None:
            return
        made = self.lives.get(found["SnapshotId"])
        experiment, by = (made.experiment, made.by) if made else (record.experiment, record.by)
        began = parse_time(found.get("EnabledTime") or found.get("OptimizingTime") or record.time)
        times_of_it.append(Life(found["SnapshotId"], record.region or "", experiment, by, began, found))

    def _no_restore(self, record: Record, found: Mapping[str, Any]) -> None:
        for one in self._restores.get((found["SnapshotId"], found["AvailabilityZone"]), [])[-1:]:
            one.end(parse_time(found.get("DisabledTime") or record.time))

    def spans(self, history: History, book: PriceBook, now: datetime) -> Iterator[Span]:
        """Yield a span for each snapshot, and one for each time of fast restore."""
        del now
        self.read(history)
        for one in self.lives.values():
            described = self._described.get(one.id, {})
            stored = stored_bytes(described)
            why = unlisted("snapshots", one.region) if stored else "its size is not on record; `make datasets` asks AWS"
            yield Span(
                kind=self.kind.name, id=one.id, region=one.region, experiment=one.experiment, by=one.by,
                what=f"up to {stored / GIB:.0f} GiB stored" if stored else "a snapshot",
                rate=Monthly(self.kind.monthly(described, one.region, book), why), began=one.began, ended=one.ended,
            )  # fmt: skip
        for (identity, zone), restores in self._restores.items():
            for one in restores:
                yield Span(
                    kind=self.kind.name, id=identity, region=one.region, experiment=one.experiment, by=one.by,
                    what=f"fast restore in {zone}", least=HOUR,
                    rate=HourlyRate(book.fast_restore_hour(one.region), unlisted("fast restore", one.region)),
                    began=one.began, ended=min(filter(None, (one.ended, self._gone(identity))), default=None),
                )  # fmt: skip

    def _gone(self, identity: str) -> datetime | None:
        return self.lives[identity].ended if identity in self.lives else None
