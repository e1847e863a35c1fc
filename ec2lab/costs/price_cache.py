"""Prices on disk, each with its date, so that no command waits for a known price.

One file, replaced atomically under a lock, so that processes lose nothing of each other's. An unreadable file is
created again; what cannot be written is looked up again next time.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from ec2lab.costs.money import Dollars
from ec2lab.files import private_directory, read_bytes, temp_file_beside

LARGEST = 256 << 20  # bytes: a year of many regions' spot prices takes a few MiB
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Change = tuple[datetime, float]  # when a spot price took effect, and the price


@dataclass(frozen=True, slots=True)
class Known:
    dollars: Dollars
    at: datetime


@dataclass(frozen=True, slots=True)
class SpotHistory:
    """The known spot prices of a type in a region's zones over a period."""

    since: datetime
    until: datetime
    zones: Mapping[str, Sequence[Change]]

    def touches(self, other: SpotHistory) -> bool:
        """Say whether there is no gap between two histories."""
        return self.since <= other.until and other.since <= self.until

    def is_spent(self, now: datetime) -> bool:
        """Say whether it held only a current price, which has passed by now."""
        return self.until - self.since < HOUR and now - self.until > DAY

    def joined(self, other: SpotHistory) -> SpotHistory:
        """Merge two histories that touch."""
        zones = {
            zone: tuple(sorted({*self.zones.get(zone, ()), *other.zones.get(zone, ())}))
            for zone in {*self.zones, *other.zones}
        }
        return SpotHistory(min(self.since, other.since), max(self.until, other.until), zones)


@dataclass(slots=True)
class _Content:
    format: Literal[1] = 1
    listed: dict[str, Known] = field(default_factory=dict)
    spot: dict[str, list[SpotHistory]] = field(default_factory=dict)

    def add_spot(self, key: str, history: SpotHistory) -> None:
        apart = [old for old in self.spot.get(key, ()) if not old.touches(history) and not old.is_spent(history.until)]
        for old in self.spot.get(key, ()):
            history = history.joined(old) if old.touches(history) else history
        self.spot[key] = [*apart, history]


@cache
def _format() -> TypeAdapter[_Content]:
    return TypeAdapter(_Content)


class PriceCache:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._content = self._read()

    def listed(self, key: str) -> Known | None:
        return self._content.listed.get(key)

    def spot(self, key: str) -> Sequence[SpotHistory]:
        return self._content.spot.get(key, ())

    def store(self, listed: Mapping[str, Known] | None = None, spot: Mapping[str, SpotHistory] | None = None) -> None:
        """Add prices to the file, keeping those that other processes added meanwhile."""
        with self._alone():
            self._content = self._read()
            self._content.listed |= listed or {}
            for key, history in (spot or {}).items():
                self._content.add_spot(key, history)
            self._write()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            private_directory(self.path.parent)
            lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            yield  # a directory that cannot be written has no second writer either
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _read(self) -> _Content:
        try:
            return _format().validate_json(read_bytes(self.path, LARGEST))
        except (OSError, ValueError):
            return _Content()  # missing or damaged: prices can be looked up again

    def _write(self) -> None:
        with suppress(OSError):  # a full disk: this process knows the prices all the same
            content = _format().dump_json(self._content)
            with temp_file_beside(self.path, content, mode=0o600) as draft:
                draft.replace(self.path)
