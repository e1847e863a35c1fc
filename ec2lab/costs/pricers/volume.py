"""What volumes cost: those that were made by themselves, and those that came with instances. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from ec2lab.aws.cloud import Cloud
from ec2lab.costs.charges import CostPeriod
from ec2lab.costs.money import Dollars
from ec2lab.costs.price_book import IO2_TIER1_IOPS, PriceBook
from ec2lab.costs.pricer import Pricer
from ec2lab.costs.rates import HourlyRate, Monthly, unlisted
from ec2lab.registry.history import History
from ec2lab.registry.storage_timeline import VolumeTimeline
from ec2lab.resource import ResourceType
from ec2lab.resources.snapshot import stored_bytes
from ec2lab.units import GIB


class VolumePricer(Pricer):
    """Volumes cost by the second and 60 seconds at the least, attached or not (https://aws.amazon.com/ebs/pricing/)."""

    name = "volume"

    def monthly(self, found: Mapping[str, Any], region: str, book: PriceBook) -> Dollars:
        """Return what its size, iops and throughput cost, attached or not."""
        return book.volume(region, found) if found.get("Size") and found.get("VolumeType") else None

    def spans(
        self, resource_type: ResourceType, history: History, book: PriceBook, now: datetime
    ) -> Iterator[CostPeriod]:
        """Yield a span for each volume, and what was paid for its initialization."""
        del resource_type
        for one in history.volumes(now):
            yield CostPeriod(
                resource_type="volume", id=one.id, region=one.region, experiment=one.experiment, by=one.by,
                parent_id=one.instance,
                what=_in_words(one.described), rate=_rate(one, book), vague=not one.is_told, due=one.due,
                began=one.began, ended=one.ended,
            )  # fmt: skip
            if one.initialization_rate:
                stored = stored_bytes(one.snapshot)
                yield CostPeriod(
                    resource_type="volume", id=one.id, region=one.region, experiment=one.experiment, by=one.by,
                    parent_id=one.instance,
                    what=f"initialization at {one.initialization_rate} MiB/s", began=one.began, ended=one.began,
                    least=timedelta(), once=book.initialization(one.region, stored / GIB if stored else None),
                    rate=HourlyRate(0.0, "the price of a GiB, or how many the snapshot's blocks are, is not known"),
                )  # fmt: skip

    def describe(self, resource_type: ResourceType, cloud: Cloud, region: str, ids: Collection[str]) -> None:
        """Describe volumes: what an image's root volume has is told by no request."""
        super().describe(resource_type, cloud, region, [identity for identity in ids if identity.startswith("vol-")])


def _rate(one: VolumeTimeline, book: PriceBook) -> Monthly:
    if not one.is_told:
        return Monthly(None, "its size or type is not on record; `make status` asks AWS")
    resource_type, why = (
        one.described["VolumeType"],
        f"iops of io2 beyond {IO2_TIER1_IOPS:,} cost less each: not looked up",
    )
    is_beyond = resource_type == "io2" and (one.described.get("Iops") or 0) > IO2_TIER1_IOPS
    price = book.volume(one.region, one.described)
    return Monthly(price, why if is_beyond else unlisted(f"{resource_type} volumes", one.region))


def _in_words(made_of: Mapping[str, Any]) -> str:
    parts = [f"{made_of.get('Size') or '?'} GiB {made_of.get('VolumeType') or 'of unknown type'}"]
    if made_of.get("Iops"):
        parts.append(f"{made_of['Iops']} iops")
    if made_of.get("Throughput"):
        parts.append(f"{made_of['Throughput']} MiB/s")
    return ", ".join(parts)
