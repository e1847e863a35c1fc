"""Charges and prices as events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from ec2lab import clock
from ec2lab.aws.account import Account
from ec2lab.console import Console
from ec2lab.costs.charges import Charge
from ec2lab.costs.price_book import Origin, PriceBook
from ec2lab.costs.summary import CostSummary, grouped, spent
from ec2lab.events.costs import ChargeDetail, CostGroup, CostTotal, StalePrices, Unpriced
from ec2lab.rendering import amount

OLD = timedelta(days=7)


def show_costs(
    console: Console, charges: Sequence[Charge], by: str, since: datetime | None, until: datetime | None
) -> None:
    """Print the total, then each group's, the dearest first."""
    everything = spent("", charges)
    console.emit(CostTotal(since=since, until=until, resources=everything.things, **everything.rates()))
    groups = grouped(charges, by)
    console.emit_table([CostGroup(by=by, name=one.name, resources=one.things, **one.rates()) for one in groups])
    console.emit_table([_detail(charge) for charge in charges])
    console.emit(*unpriced(everything))


def _detail(charge: Charge) -> ChargeDetail:
    return ChargeDetail(
        kind=charge.kind, id=charge.id, region=charge.region, experiment=charge.experiment, created_by=charge.by,
        what=charge.what, market=charge.market, began=charge.began, ended=charge.ended, expires_at=charge.due,
        dollars=charge.dollars, dollars_per_hour=charge.hourly, parent_id=charge.parent_id, unpriced=charge.why,
    )  # fmt: skip


def unpriced(found: CostSummary) -> list[Unpriced]:
    """Return what has no known price, and why: those of one reason together."""
    by_reason: dict[str, dict[str, None]] = {}
    for why, resource in found.unpriced:
        by_reason.setdefault(why, {})[resource] = None
    return [Unpriced(resources=list(resources), reason=why) for why, resources in by_reason.items()]


def cost_by_account(found: Mapping[Account | None, Sequence[Charge]]) -> str:
    """Return what falls to which account, a line each; nothing where there is one."""
    shares = [(account or "an account that is not on record", spent("", some)) for account, some in found.items()]
    lines = [f"  in {account}: {amount(share.dollars, share.unknown)} dollars" for account, share in shares]
    return "\n".join(lines) if len(lines) > 1 else ""


def stale_prices(book: PriceBook) -> list[StalePrices]:
    """Return how many prices are older than a week, by their time and source."""
    found = _old(book.source.origins(), clock.now())
    return [StalePrices(count=count, as_of=one.at, source=one.source) for one, count in found.items()]


def _old(origins: Iterable[Origin], now: datetime) -> Counter[Origin]:
    return Counter(origin for origin in origins if now - origin.at > OLD)
