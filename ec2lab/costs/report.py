"""What the screen, or a program, is told of costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from ec2lab import clock
from ec2lab.console import Console
from ec2lab.costs.charges import Charge
from ec2lab.costs.price_book import Origin, PriceBook
from ec2lab.costs.summary import CostSummary, amount, grouped, spent
from ec2lab.registry.account import Account

OLD = timedelta(days=7)
NAMED = 3
"""Of how many things of one kind without a price the ids are told."""


class CostReport:
    """Speaks of charges to a console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def tells(self, charges: Sequence[Charge], by: str, since: datetime | None, until: datetime | None) -> None:
        """Say the sum, then each group's, the dearest first."""
        everything = spent("", charges)
        time = f"{f' since {_shown(since)}' if since else ''}{f' until {_shown(until)}' if until else ''}"
        self.console.say(
            f"{amount(everything.dollars, everything.unknown)} dollars{time}; "
            f"what lives costs {amount(everything.hourly, everything.hourly_unknown)} an hour", "cost",
            since=_told(since), until=_told(until), **_as_fields(everything),
        )  # fmt: skip
        groups = grouped(charges, by)
        if self.console.as_json:
            for group in groups:
                self.console.say("", "group", by=by, name=group.name, **_as_fields(group))
            for charge in charges:
                self.console.say("", "charge", **_charge(charge))
        if groups:
            self.console.table((by, "$", "$/hour now", "things"), [_row(group) for group in groups])
        self.unpriced(everything)

    def unpriced(self, found: CostSummary) -> None:
        """Say what has no known price, and why: those of one reason together."""
        by_reason: dict[str, dict[str, None]] = {}
        for why, thing in found.unpriced:
            by_reason.setdefault(why, {})[thing] = None
        for why, things in by_reason.items():
            more = f" and {len(things) - NAMED} more" if len(things) > NAMED else ""
            text = f"  unknown: {', '.join(islice(things, NAMED))}{more}: {why}"
            self.console.say(text, "unpriced", things=list(things), why=why)

    def accounts(self, found: Mapping[Account | None, Sequence[Charge]]) -> None:
        """Say what of it falls to which account, where there are several."""
        for account, some in found.items() if len(found) > 1 else ():
            share = spent("", some)
            named = account or "an account that is not on record"
            self.console.hint(f"  in {named}: {amount(share.dollars, share.unknown)} dollars")

    def prices(self, book: PriceBook) -> None:
        """Say of when and from where the prices are that are older than a week."""
        now = clock.now()
        for told, count in _old(book.source.origins(), now).items():
            text = f"  {count} prices are of {told.at:%Y-%m-%d}, from {told.source}"
            self.console.say(text, "old-prices", count=count, of=told.at, source=told.source)


def _old(origins: Iterable[Origin], now: datetime) -> Counter[Origin]:
    return Counter(origin for origin in origins if now - origin.at > OLD)


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}".removesuffix(" 00:00")


def _charge(charge: Charge) -> dict[str, Any]:
    times = {name: _told(getattr(charge, name)) for name in ("began", "ended", "due")}
    return asdict(charge) | times


def _told(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _row(group: CostSummary) -> list[str]:
    hourly = amount(group.hourly, group.hourly_unknown) if group.hourly or group.hourly_unknown else ""
    return [group.name, amount(group.dollars, group.unknown), hourly, str(group.things)]


def _as_fields(one: CostSummary) -> dict[str, Any]:
    return {
        "dollars": round(one.dollars, 6), "unknown_prices": one.unknown, "dollars_per_hour": round(one.hourly, 6),
        "unknown_per_hour": one.hourly_unknown, "things": one.things,
    }  # fmt: skip
