"""The price file that comes with the lab: list prices of one day, for where AWS can't be asked."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from functools import cache
from pathlib import Path
from typing import Any

from scripts.core.costs.dollars import Dollars
from scripts.core.costs.priced import Priced, Unit

FILE = Path(__file__).with_name("list_prices.toml")
OF_VOLUMES = (Unit.SIZE, Unit.IOPS, Unit.THROUGHPUT)


def shipped(wanted: Priced) -> Dollars:
    """Return a list price, or None where the file has none."""
    region = _loaded().get(wanted.region, {})
    if wanted.unit is Unit.MACHINE:
        found = region.get("machines", {}).get(wanted.name)
    elif wanted.unit in OF_VOLUMES:
        found = region.get("volumes", {}).get(wanted.name, {}).get(wanted.unit)
    else:
        found = region.get(wanted.unit)
    return None if found is None else float(found)


def shipped_at() -> datetime:
    """Return the day of the prices."""
    day: date = _loaded()["date"]
    return datetime.combine(day, time(), UTC)


def regions() -> list[str]:
    """Return the regions that the file knows prices of."""
    return [name for name, told in _loaded().items() if isinstance(told, dict)]


@cache
def _loaded() -> Mapping[str, Any]:
    return tomllib.loads(FILE.read_text())
