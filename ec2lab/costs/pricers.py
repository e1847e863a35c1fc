"""What each built-in resource type costs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from ec2lab.aws.cloud import Cloud
from ec2lab.costs.charges import CostPeriod, paid_end
from ec2lab.costs.money import Dollars, total
from ec2lab.costs.price_book import IO2_TIER1_IOPS, PriceBook
from ec2lab.costs.pricer import Pricer
from ec2lab.costs.rates import HOUR, HourlyRate, Monthly, unlisted
from ec2lab.instance_state import UP
from ec2lab.registry.history import History
from ec2lab.registry.storage_timeline import SNAPSHOT, SnapshotTimeline, VolumeTimeline
from ec2lab.resource import ResourceType
from ec2lab.resources.snapshot import stored_bytes
from ec2lab.units import GIB


class InstancePricer(Pricer):
    """Instances are billed while they run, by the second, at least 60 seconds; not while stopped.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html

    A capacity block is paid for in advance by its buyer: the cost of its instances is unknown here.
    """

    name = "instance"

    def monthly(self, found: Mapping[str, Any], region: str, book: PriceBook) -> Dollars:
        """Return its cost while it runs, with its address; volumes are priced on their own."""
        if found["State"]["Name"] not in UP:
            return 0.0
        zone = found.get("Placement", {}).get("AvailabilityZone", "")
        running = book.instance_month(region, zone, found["InstanceType"], found.get("InstanceLifecycle", "on-demand"))
        return total([running, book.address(region, used=True) if found.get("PublicIpAddress") else 0.0])

    def spans(
        self, resource_type: ResourceType, history: History, book: PriceBook, now: datetime
    ) -> Iterator[CostPeriod]:
        for instance in (known.as_of(now) for known in history.instances.values()):
            for run in instance.runs:
                rate = book.instance_rate(
                    instance.region, instance.zone, instance.type, instance.market, run.began,
                    paid_end(run.began, run.ended) or now,
                )  # fmt: skip
                yield CostPeriod(
                    resource_type="instance", id=instance.id, region=instance.region, experiment=instance.experiment,
                    by=instance.by, what=instance.type, market=instance.market, rate=rate, began=run.began,
                    ended=run.ended, due=instance.due,
                )  # fmt: skip
                if instance.address:
                    yield CostPeriod(
                        resource_type="address", id=instance.address, region=instance.region,
                        experiment=instance.experiment,
                        by=instance.by, what="public IPv4 address", parent_id=instance.id, began=run.began,
                        ended=run.ended,
                        due=instance.due,
                        rate=HourlyRate(
                            book.address_hour(instance.region, used=True), unlisted("public addresses", instance.region)
                        ),
                    )  # fmt: skip


class AddressPricer(Pricer):
    """Elastic IP addresses cost until they are released."""

    name = "address"

    def monthly(self, found: Mapping[str, Any], region: str, book: PriceBook) -> Dollars:
        """Return what it costs, in use or not."""
        return book.address(region, used=bool(found.get("AssociationId")))


class VolumePricer(Pricer):
    """Volumes are billed by the second, at least 60 seconds, attached or not (https://aws.amazon.com/ebs/pricing/)."""

    name = "volume"

    def monthly(self, found: Mapping[str, Any], region: str, book: PriceBook) -> Dollars:
        """Return the cost of its size, iops and throughput, attached or not."""
        return book.volume(region, found) if found.get("Size") and found.get("VolumeType") else None

    def spans(
        self, resource_type: ResourceType, history: History, book: PriceBook, now: datetime
    ) -> Iterator[CostPeriod]:
        for one in history.volumes(now):
            yield CostPeriod(
                resource_type="volume", id=one.id, region=one.region, experiment=one.experiment, by=one.by,
                parent_id=one.instance,
                what=_in_words(one.described), rate=_rate(one, book), vague=not one.is_described, due=one.due,
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
        """Describe volumes: no request has the properties of an image's root volume."""
        super().describe(resource_type, cloud, region, [identity for identity in ids if identity.startswith("vol-")])


def _rate(one: VolumeTimeline, book: PriceBook) -> Monthly:
    if not one.is_described:
        return Monthly(None, "its size or type is not recorded; `make status` asks AWS")
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


class SnapshotPricer(Pricer):
    """Snapshots are billed by their stored blocks, of which AWS tells only the total.

    Shared blocks are billed once, and counted here with each snapshot (https://aws.amazon.com/ebs/pricing/).

    Fast restore is billed per snapshot and zone while enabled, at least an hour
    (https://docs.aws.amazon.com/ebs/latest/userguide/ebs-fast-snapshot-restore.html#fsr-pricing).
    """

    name = SNAPSHOT

    def monthly(self, found: Mapping[str, Any], region: str, book: PriceBook) -> Dollars:
        """Return its maximum cost: how much it shares with others is not known."""
        stored = stored_bytes(found)
        return None if stored is None else book.stored(region, stored / GIB)

    def spans(
        self, resource_type: ResourceType, history: History, book: PriceBook, now: datetime
    ) -> Iterator[CostPeriod]:
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
        why = unlisted("snapshots", one.region) if stored else "its size is not recorded; `make datasets` asks AWS"
        return CostPeriod(
            resource_type=SNAPSHOT, id=one.id, region=one.region, experiment=one.experiment, by=one.by,
            what=f"up to {stored / GIB:.0f} GiB stored" if stored else "a snapshot",
            rate=Monthly(self.monthly(one.described, one.region, book), why), began=began, ended=one.ended,
        )  # fmt: skip
