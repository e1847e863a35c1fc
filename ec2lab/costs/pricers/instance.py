"""What instances cost: each run by its type and market, and the public address that it has while it runs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from ec2lab.costs.charges import CostPeriod, paid_end
from ec2lab.costs.money import Dollars, total
from ec2lab.costs.price_book import PriceBook
from ec2lab.costs.pricer import Pricer
from ec2lab.costs.rates import HourlyRate, unlisted
from ec2lab.instance_state import UP
from ec2lab.registry.history import History
from ec2lab.resource import ResourceType


class InstancePricer(Pricer):
    """Instances cost while they run, by the second and 60 seconds at the least; stopped ones cost nothing
    (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html).

    An instance in a capacity block is paid for beforehand, by whoever bought the block: what it costs is unknown here.
    """  # noqa: D205

    name = "instance"

    def monthly(self, found: Mapping[str, Any], region: str, book: PriceBook) -> Dollars:
        """Return what it costs while it runs, with its address; its volumes cost by themselves."""
        if found["State"]["Name"] not in UP:
            return 0.0
        zone = found.get("Placement", {}).get("AvailabilityZone", "")
        running = book.instance_month(region, zone, found["InstanceType"], found.get("InstanceLifecycle", "on-demand"))
        return total([running, book.address(region, used=True) if found.get("PublicIpAddress") else 0.0])

    def spans(
        self, resource_type: ResourceType, history: History, book: PriceBook, now: datetime
    ) -> Iterator[CostPeriod]:
        """Yield a span for each run of each instance, and one for its address beside it."""
        del resource_type
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
