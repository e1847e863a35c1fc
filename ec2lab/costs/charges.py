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
class Charge:
    """What one thing cost for one time."""

    resource_type: str
    id: str
    region: str
    experiment: str | None
    by: str
    """Who asked for it: user@host; empty where that is not known."""
    what: str
    """What it is, for people: g5.xlarge, 500 GiB gp3, public IPv4 address."""
    market: str
    """on-demand or spot for an instance, else empty."""
    began: datetime
    ended: datetime | None
    """None: it lives, and costs on."""
    dollars: Dollars
    """Unknown where it is None."""
    hourly: Dollars = 0.0
    """What it costs an hour now; nothing where it has ended."""
    parent_id: str = ""
    """The instance that it came with, where it is a part of one."""
    vague: bool = False
    """Whether its price is unknown because the records do not tell all of what it is, which AWS could be asked."""
    why: str = ""
    """Why `dollars` or `hourly` is unknown, where one is."""
    due: datetime | None = None
    """When it ends by itself, where that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPeriod:
    """One thing for one time in which it cost the same way, whole."""

    resource_type: str
    id: str
    region: str
    experiment: str | None
    by: str
    what: str
    rate: Rate
    began: datetime
    ended: datetime | None = None
    market: str = ""
    parent_id: str = ""
    least: timedelta = MINUTE
    """Shorter times cost as much as this one: 60 seconds for instances and volumes
    (https://aws.amazon.com/ec2/pricing/on-demand/, https://aws.amazon.com/ebs/pricing/)."""
    vague: bool = False
    due: datetime | None = None
    once: Dollars = 0.0
    """What is paid when it begins, whatever its length."""

    def charge(self, since: datetime, until: datetime, now: datetime) -> Charge | None:
        """Return what falls into the time from `since` to `until`; None where nothing does."""
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
    """Return until when a time is paid for that may be shorter than the least that is; None while it goes on."""
    return max(ended, began + least) if ended else None
