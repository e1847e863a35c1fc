"""What machines cost: each run by its type and market, and the public address that it has while it runs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ec2lab.costs.charges import Span, paid_end
from ec2lab.costs.meter import Meter
from ec2lab.costs.price_book import PriceBook
from ec2lab.costs.rates import HourlyRate, unlisted
from ec2lab.registry.history import History


class InstanceMeter(Meter):
    """Machines cost while they run, by the second and 60 seconds at the least; stopped ones cost nothing
    (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html).

    A machine in a capacity block is paid for beforehand, by whoever bought the block: what it costs is unknown here.
    """  # noqa: D205

    def spans(self, history: History, book: PriceBook, now: datetime) -> Iterator[Span]:
        """Yield a span for each run of each machine, and one for its address beside it."""
        for machine in (instance.as_of(now) for instance in history.instances.values()):
            for run in machine.runs:
                rate = book.instance(
                    machine.region, machine.zone, machine.type, machine.market, run.began,
                    paid_end(run.began, run.ended) or now,
                )  # fmt: skip
                yield Span(
                    kind="instance", id=machine.id, region=machine.region, experiment=machine.experiment,
                    by=machine.by, what=machine.type, market=machine.market, rate=rate, began=run.began,
                    ended=run.ended, due=machine.due,
                )  # fmt: skip
                if machine.address:
                    yield Span(
                        kind="address", id=machine.address, region=machine.region, experiment=machine.experiment,
                        by=machine.by, what="public IPv4 address", parent_id=machine.id, began=run.began,
                        ended=run.ended,
                        due=machine.due,
                        rate=HourlyRate(
                            book.address_hour(machine.region, used=True), unlisted("public addresses", machine.region)
                        ),
                    )  # fmt: skip
