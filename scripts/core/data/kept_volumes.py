"""Kept volumes: each says since when, until when and why, in its tags; after that day it is a complaint. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from scripts.core.aws.tags import KEPT, KEPT_BECAUSE, KEPT_UNTIL
from scripts.core.lab.values import duration

ASSUMED = timedelta(days=30)
"""For how long a volume is kept that says nothing of it: earlier versions of the lab wrote no day."""
NO_REASON = "no reason given"


@dataclass(frozen=True, slots=True)
class Kept:
    """What a kept volume's tags say."""

    since: date | None
    after: str
    """The experiment at whose teardown it was kept."""
    until: date | None
    """The last day on which it is no complaint; None where its tags can't be read, which is one already."""
    reason: str

    @classmethod
    def read(cls, tags: Mapping[str, str]) -> Kept:
        """Read the tags of a volume that carries `lab:kept`: "2026-11-24 after speech"."""
        day, _, after = tags[KEPT].partition(" after ")
        since, until = _day(day), _day(tags.get(KEPT_UNTIL, ""))
        if KEPT_UNTIL not in tags and since:
            until = since + ASSUMED
        return cls(since, after, until, tags.get(KEPT_BECAUSE) or NO_REASON)

    @property
    def has_reason(self) -> bool:
        """Whether anybody said why."""
        return self.reason != NO_REASON

    def is_over(self, today: date) -> bool:
        """Say whether it lies there for longer than was meant."""
        return self.until is None or today > self.until

    def __str__(self) -> str:
        since = f"since {self.since}" if self.since else "nobody knows since when"
        until = f"until {self.until}" if self.until else "until a day that its tags do not tell"
        return f"{until}: {self.reason} ({since}{f', after {self.after}' if self.after else ''})"


def marks(end: str, experiment: str, today: date) -> dict[str, str]:
    """Return the tags of a volume that is kept from now on; `end` is what was said of it: "keep 30d the reason"."""
    _, _, said = end.partition(" ")
    length, _, reason = said.partition(" ")
    return {
        KEPT: f"{today} after {experiment}",
        KEPT_UNTIL: str(today + (duration(length) if length else ASSUMED)),
        **({KEPT_BECAUSE: reason} if reason else {}),
    }


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:  # a tag that somebody wrote by hand
        return None
