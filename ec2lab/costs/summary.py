"""Charges in sums: by member, experiment, region or kind. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from ec2lab.costs.charges import Charge
from ec2lab.costs.money import sum_known
from ec2lab.errors import UserError
from ec2lab.validators import did_you_mean

NOBODY, THE_LAB = "(not on record)", "(the whole lab)"
GROUPS: Mapping[str, Callable[[Charge], str]] = MappingProxyType(
    {
        "member": lambda charge: charge.by or NOBODY,
        "experiment": lambda charge: charge.experiment or THE_LAB,
        "region": lambda charge: charge.region,
        "kind": lambda charge: charge.kind,
    }
)


@dataclass(frozen=True, slots=True)
class CostSummary:
    """What charges come to together."""

    name: str
    dollars: float
    """Of those whose price is known."""
    unknown: int
    """How many there are beside them."""
    hourly: float
    """What those that live cost an hour now, as far as it is known."""
    hourly_unknown: int
    things: int
    """How many things they are of."""
    unpriced: tuple[tuple[str, str], ...] = ()
    """What the unknown is: why no price of it is known, and what it is, for people."""

    def rates(self) -> dict[str, Any]:
        """Return the sums as the fields of an event."""
        return {
            "dollars": round(self.dollars, 6), "unknown_prices": self.unknown,
            "dollars_per_hour": round(self.hourly, 6), "unknown_per_hour": self.hourly_unknown,
        }  # fmt: skip


def spent(name: str, charges: Iterable[Charge]) -> CostSummary:
    """Add charges up."""
    found = list(charges)
    dollars, unknown = sum_known(charge.dollars for charge in found)
    hourly, hourly_unknown = sum_known(charge.hourly for charge in found)
    things = len({(charge.kind, charge.id) for charge in found})
    unpriced = tuple((c.why, f"{c.id} ({c.what})") for c in found if None in (c.dollars, c.hourly))
    return CostSummary(name, dollars, unknown, hourly, hourly_unknown, things, unpriced)


def grouped(charges: Iterable[Charge], by: str) -> list[CostSummary]:
    """Add charges up by one of GROUPS, the dearest first."""
    groups: dict[str, list[Charge]] = {}
    for charge in charges:
        groups.setdefault(GROUPS[by](charge), []).append(charge)
    sums = [spent(name, those) for name, those in groups.items()]
    return sorted(sums, key=lambda one: (-one.dollars, -one.unknown, one.name))


def parse_group_by(by: str) -> str:
    """Return what is to be summed by. Raises UserError."""
    if by not in GROUPS:
        raise UserError(f"GROUP_BY: {by!r} is none of {', '.join(GROUPS)}{did_you_mean(by, GROUPS)}")
    return by


def moment(text: str, variable: str) -> datetime | None:
    """Return the time that a variable names, None where it is empty: a day in UTC, or RFC 3339. Raises UserError."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as problem:
        raise UserError(f"{variable}: {text!r} is no day (try 2026-10-01) and no time (2026-10-01T12:00Z)") from problem
    return found if found.tzinfo else found.replace(tzinfo=UTC)
