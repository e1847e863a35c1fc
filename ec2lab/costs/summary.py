"""Charges in sums, by member, experiment, region or resource type, and as events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from ec2lab import clock
from ec2lab.aws.account import Account
from ec2lab.console import Console
from ec2lab.costs.charges import Charge
from ec2lab.costs.money import sum_known
from ec2lab.costs.price_book import PriceBook
from ec2lab.errors import UserError
from ec2lab.events.costs import ChargeDetail, CostGroup, CostTotal, StalePrices, Unpriced
from ec2lab.units import amount
from ec2lab.validators import did_you_mean

NOBODY, THE_LAB = "(not on record)", "(the whole lab)"
GROUPS: Mapping[str, Callable[[Charge], str]] = MappingProxyType(
    {
        "member": lambda charge: charge.by or NOBODY,
        "experiment": lambda charge: charge.experiment or THE_LAB,
        "region": lambda charge: charge.region,
        "resource-type": lambda charge: charge.resource_type,
    }
)


@dataclass(frozen=True, slots=True)
class CostSummary:
    name: str
    dollars: float  # of those with a known price
    unknown: int  # the number of the others
    hourly: float  # the present hourly cost of live resources, as far as it is known
    hourly_unknown: int
    things: int  # the number of resources
    unpriced: tuple[tuple[str, str], ...] = ()  # the unknown items: the reason, and a description for people

    def rates(self) -> dict[str, Any]:
        """Return the sums as fields of an event."""
        return {
            "dollars": round(self.dollars, 6), "unknown_prices": self.unknown,
            "dollars_per_hour": round(self.hourly, 6), "unknown_per_hour": self.hourly_unknown,
        }  # fmt: skip


def spent(name: str, charges: Iterable[Charge]) -> CostSummary:
    """Add charges up."""
    found = list(charges)
    dollars, unknown = sum_known(charge.dollars for charge in found)
    hourly, hourly_unknown = sum_known(charge.hourly for charge in found)
    things = len({(charge.resource_type, charge.id) for charge in found})
    unpriced = tuple((c.why, f"{c.id} ({c.what})") for c in found if None in (c.dollars, c.hourly))
    return CostSummary(name, dollars, unknown, hourly, hourly_unknown, things, unpriced)


def grouped(charges: Iterable[Charge], by: str) -> list[CostSummary]:
    """Add charges up by one of GROUPS, most expensive first."""
    groups: dict[str, list[Charge]] = {}
    for charge in charges:
        groups.setdefault(GROUPS[by](charge), []).append(charge)
    sums = [spent(name, those) for name, those in groups.items()]
    return sorted(sums, key=lambda one: (-one.dollars, -one.unknown, one.name))


def parse_group_by(by: str) -> str:
    if by not in GROUPS:
        raise UserError(f"GROUP_BY: {by!r} is none of {', '.join(GROUPS)}{did_you_mean(by, GROUPS)}")
    return by


def moment(text: str, variable: str) -> datetime | None:
    """Parse a variable with a time: a day in UTC, or RFC 3339; None where it is empty. Raises UserError."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as problem:
        raise UserError(
            f"{variable}: {text!r} is neither a day (try 2026-10-01) nor a time (2026-10-01T12:00Z)"
        ) from problem
    return found if found.tzinfo else found.replace(tzinfo=UTC)


OLD = timedelta(days=7)


def show_costs(
    console: Console, charges: Sequence[Charge], by: str, since: datetime | None, until: datetime | None
) -> None:
    """Print the total, then each group's, most expensive first."""
    everything = spent("", charges)
    console.emit(CostTotal(since=since, until=until, resources=everything.things, **everything.rates()))
    groups = grouped(charges, by)
    console.emit_table([CostGroup(by=by, name=one.name, resources=one.things, **one.rates()) for one in groups])
    console.emit_table([_detail(charge) for charge in charges])
    console.emit(*unpriced(everything))


def _detail(charge: Charge) -> ChargeDetail:
    return ChargeDetail(
        resource_type=charge.resource_type, id=charge.id, region=charge.region, experiment=charge.experiment,
        created_by=charge.by,
        what=charge.what, market=charge.market, began=charge.began, ended=charge.ended, expires_at=charge.due,
        dollars=charge.dollars, dollars_per_hour=charge.hourly, parent_id=charge.parent_id, unpriced=charge.why,
    )  # fmt: skip


def unpriced(found: CostSummary) -> list[Unpriced]:
    """Return the items without a known price, grouped by reason."""
    by_reason: dict[str, dict[str, None]] = {}
    for why, resource in found.unpriced:
        by_reason.setdefault(why, {})[resource] = None
    return [Unpriced(resources=list(resources), reason=why) for why, resources in by_reason.items()]


def cost_by_account(found: Mapping[Account | None, Sequence[Charge]]) -> str:
    """Return the total of each account, a line each; empty where there is only one."""
    shares = [(account or "an account that is not on record", spent("", some)) for account, some in found.items()]
    lines = [f"  in {account}: {amount(share.dollars, share.unknown)} dollars" for account, share in shares]
    return "\n".join(lines) if len(lines) > 1 else ""


def stale_prices(book: PriceBook) -> list[StalePrices]:
    """Return how many prices are older than a week, by date and source."""
    now = clock.now()
    found = Counter(origin for origin in book.source.origins() if now - origin.at > OLD)
    return [StalePrices(count=count, as_of=one.at, source=one.source) for one, count in found.items()]
