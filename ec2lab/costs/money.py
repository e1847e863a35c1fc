"""Amounts of money of which some are not known: unknown is None, never zero."""

from __future__ import annotations

from collections.abc import Iterable

Dollars = float | None


def times(price: Dollars, amount: float) -> Dollars:
    """Return a price so many times; unknown stays unknown."""
    return None if price is None else price * amount


def total(parts: Iterable[Dollars]) -> Dollars:
    """Return the sum; unknown where any part is."""
    found = list(parts)
    return None if any(part is None for part in found) else sum(part or 0.0 for part in found)


def sum_known(parts: Iterable[Dollars]) -> tuple[float, int]:
    """Return the sum of what is known, and how many parts are not."""
    found = list(parts)
    return sum(part or 0.0 for part in found), found.count(None)


def in_dollars(amount: Dollars) -> str:
    """Return an amount for people, to the cent."""
    return "unknown" if amount is None else f"{amount:,.2f}"
