"""What things cost: charges, and the periods that they are cut from. Pure.

A charge is one thing for one time in which it cost the same way: an instance that was stopped and started again has
two, and none for the time between; its volumes and its public address have their own. `dollars` is what falls between
`began` and `ended`, both cut to the time that was asked for; asked for a month each, the charges of a year add up to
those of the whole year. What is computed for a chart over time is best asked for span by span.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ec2lab.costs.money import Dollars, total
from ec2lab.costs.rates import Rate

MINUTE = timedelta(minutes=1)
EPOCH = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """One resource over one period."""

    resource_type: str
    id: str
    region: str
    experiment: str | None
    by: str  # who created it: user@host; empty where that is not known
    what: str  # its description for people: g5.xlarge, 500 GiB gp3, public IPv4 address
    market: str = ""  # on-demand or spot for an instance, else empty
    began: datetime
    ended: datetime | None = None  # None while it is live
    parent_id: str = ""  # the instance that it belongs to, if it is a part of one
    vague: bool = False  # whether its price is unknown because the records lack a property that AWS could return
    due: datetime | None = None  # when it expires, where that is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge(Billed):
    dollars: Dollars  # None where it is not known
    hourly: Dollars = 0.0  # its cost per hour now; 0 where it has ended
    why: str = ""  # why `dollars` or `hourly` is unknown, if one is


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPeriod(Billed):
    """A period at one rate, uncut."""

    rate: Rate
    least: timedelta = MINUTE
    """The minimum charge is for this period: 60 seconds for instances and volumes
    (https://aws.amazon.com/ec2/pricing/on-demand/, https://aws.amazon.com/ebs/pricing/)."""
    once: Dollars = 0.0  # paid once at its beginning

    def charge(self, since: datetime, until: datetime, now: datetime) -> Charge | None:
        """Return the charge between `since` and `until`; None where there is none."""
        lives = self.ended is None and until >= now
        paid_until = paid_end(self.began, self.ended, self.least) or now
        began, ended = max(self.began, since), min(paid_until, until)
        begins_here = since <= self.began < until
        if ended <= began and not begins_here:
            return None
        parts = (self.rate.dollars(began, ended) if ended > began else 0.0, self.once if begins_here else 0.0)
        over = max(began, min(ended, self.ended or ended))
        dollars, hourly = total(parts), self.rate.hourly(now) if lives else 0.0
        return Charge(
            resource_type=self.resource_type, id=self.id, region=self.region, experiment=self.experiment, by=self.by,
            what=self.what,
            market=self.market, parent_id=self.parent_id, vague=self.vague, due=self.due, began=began,
            ended=None if lives else over,
            dollars=dollars, hourly=hourly, why=self.rate.why if None in (dollars, hourly) else "",
        )  # fmt: skip


def paid_end(began: datetime, ended: datetime | None, least: timedelta = MINUTE) -> datetime | None:
    """Return the end of the paid period, at least the minimum; None while it continues."""
    return max(ended, began + least) if ended else None
