"""What snapshots cost at most, and fast snapshot restore. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from ec2lab.costs.charges import CostPeriod
from ec2lab.costs.money import Dollars
from ec2lab.costs.price_book import PriceBook
from ec2lab.costs.pricer import Pricer
from ec2lab.costs.rates import HOUR, HourlyRate, Monthly, unlisted
from ec2lab.registry.history import History
from ec2lab.registry.storage_timeline import SNAPSHOT, SnapshotTimeline
from ec2lab.resource import ResourceType
from ec2lab.resources.snapshot import stored_bytes
from ec2lab.units import GIB


class SnapshotPricer(Pricer):
    """Snapshots cost by what they store, of which AWS tells no more than how much all their blocks are: blocks that
    two snapshots share are paid once, and counted here with each (https://aws.amazon.com/ebs/pricing/).

    Fast restore costs for each snapshot and zone while it is enabled, an hour at the least
    (https://docs.aws.amazon.com/ebs/latest/userguide/ebs-fast-snapshot-restore.html#fsr-pricing).
    """  # noqa: D205

    name = SNAPSHOT

    def monthly(self, found: Mapping[str, Any], region: str, book: PriceBook) -> Dollars:
        """Return the most that it can cost: what it shares with others is not told."""
        stored = stored_bytes(found)
        return None if stored is None else book.stored(region, stored / GIB)

    def spans(
        self, resource_type: ResourceType, history: History, book: PriceBook, now: datetime
    ) -> Iterator[CostPeriod]:
        """Yield a span for each snapshot, and one for each time of fast restore."""
        del resource_type, now
        for one in history.snapshots.values():
            if one.began:
                yield self._stored(one, one.began, book)
            for restore in one.restores:
                yield CostPeriod(
                    resource_type=SNAPSHOT, id=one.id, region=restore.region, experiment=restore.experiment,
                    by=restore.by,
                    what=f"fast restore in {restore.zone}", least=HOUR,
                    rate=HourlyRate(book.fast_restore_hour(restore.region), unlisted("fast restore", restore.region)),
                    began=restore.began, ended=min(filter(None, (restore.ended, one.ended)), default=None),
                )  # fmt: skip

    def _stored(self, one: SnapshotTimeline, began: datetime, book: PriceBook) -> CostPeriod:
        stored = stored_bytes(one.described)
        why = unlisted("snapshots", one.region) if stored else "its size is not on record; `make datasets` asks AWS"
        return CostPeriod(
            resource_type=SNAPSHOT, id=one.id, region=one.region, experiment=one.experiment, by=one.by,
            what=f"up to {stored / GIB:.0f} GiB stored" if stored else "a snapshot",
            rate=Monthly(self.monthly(one.described, one.region, book), why), began=began, ended=one.ended,
        )  # fmt: skip
