"""Amounts of money that may be unknown: None, never zero."""

from __future__ import annotations

from collections.abc import Iterable

Dollars = float | None


def times(price: Dollars, amount: float) -> Dollars:
    """Multiply a price; unknown stays unknown."""
    return None if price is None else price * amount


def total(parts: Iterable[Dollars]) -> Dollars:
    """Return the sum; unknown where any part is."""
    found = list(parts)
    return None if any(part is None for part in found) else sum(part or 0.0 for part in found)


def sum_known(parts: Iterable[Dollars]) -> tuple[float, int]:
    """Return the sum of the known amounts, and the number of unknown ones."""
    found = list(parts)
    return sum(part or 0.0 for part in found), found.count(None)


def in_dollars(amount: Dollars) -> str:
    """Format an amount for people, to the cent."""
    return "unknown" if amount is None else f"{amount:,.2f}"
