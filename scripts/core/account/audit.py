"""The account against the registry: what costs money and nobody remembers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from scripts.core.account.account_survey import Item, Survey
from scripts.core.aws.tags import AT_TEARDOWN, BY, DATASET, KEPT, SHARED
from scripts.core.costs.dollars import Dollars, total
from scripts.core.data.kept_volumes import Kept
from scripts.core.kind import Resource
from scripts.core.registry.evidence import token_of
from scripts.core.registry.resources import Holdings

IsYoung = Callable[[str], bool]
"""Says of a time whether AWS may not show yet what was made then."""
OVER = ("terminated", "shutting-down", "deleting", "deleted", "error")
"""States in which a thing costs no more."""


class Verdict(StrEnum):
    """What is the matter with a thing."""

    ORPHAN = "orphan"
    """It carries the lab's tags, and this registry knows nothing of it."""
    UNFINISHED = "unfinished"
    """The registry asked for it and takes it for ended, or never heard of its making; it lives."""
    GHOST = "ghost"
    """It stands in the registry, and AWS knows nothing of it."""
    STRANGER = "stranger"
    """Nobody in the lab asked for it, and it looks forgotten."""
    OUTSTAYED = "outstayed"
    """It was kept on purpose, until a day that has passed."""
    KEPT = "kept"
    """It was kept on purpose, and costs."""


ALARMING = (Verdict.ORPHAN, Verdict.UNFINISHED, Verdict.GHOST, Verdict.OUTSTAYED)
"""What is wrong for certain; strangers and what is kept may be meant so."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that wants a look."""

    verdict: Verdict
    resource: Resource
    monthly: Dollars
    why: str
    by: str = ""
    """Who asked for it, by its own tag: user@host."""
    owner: str = ""
    """Who asked for it by CloudTrail, where it has no such tag."""
    spared: str = ""
    """Why it is not simply deleted."""
    kept: Kept | None = None
    """What it says of itself, where it is a kept volume."""


def findings(survey: Survey, before: Holdings, after: Holdings, is_young: IsYoung, today: date) -> list[Finding]:
    """Compare what lives with what the registry said before AWS was asked and says after; the dearest first.

    What is launched or torn down meanwhile differs between the two, and is no finding. Data sets and what is the whole
    lab's belong there, whoever's registry made them.
    """
    expected = {resource.record for known in (before, after) for resource in known.living}
    expected |= {token_of(intent) for intent in after.unsettled if is_young(intent.time)}
    found = [finding for item in survey.items if (finding := _finding(item, after.tokens, expected, today))]
    shown = {item.resource.id for item in survey.items if not is_over(item)}
    stood = {resource.id for resource in before.living}
    found += [
        Finding(Verdict.GHOST, resource, 0.0, "in the registry, and not in AWS")
        for resource in after.living
        if resource.id in stood - shown and resource.region in survey.regions and not is_young(resource.recorded)
    ]
    order = list(Verdict)
    return sorted(found, key=lambda f: (order.index(f.verdict), -(f.monthly or 0.0), str(f.resource)))


def _finding(item: Item, tokens: set[str], expected: set[str | None], today: date) -> Finding | None:
    resource, tags = item.resource, item.tags
    if is_over(item) or DATASET in tags or SHARED in tags:
        return None
    if not any(key.startswith("lab:") for key in tags):
        return Finding(Verdict.STRANGER, resource, item.monthly, item.idle) if item.idle else None
    by = tags.get(BY, "")
    if KEPT in tags:
        kept = Kept.read(tags)
        verdict = Verdict.OUTSTAYED if kept.is_over(today) else Verdict.KEPT
        return Finding(verdict, resource, item.monthly, str(kept), by, kept=kept)
    if resource.record not in tokens:
        orphan = Finding(Verdict.ORPHAN, resource, item.monthly, f"of {resource.experiment or 'the lab'}", by)
        return replace(orphan, spared=f"marked {tags[AT_TEARDOWN]} at teardown") if AT_TEARDOWN in tags else orphan
    unfinished = Finding(Verdict.UNFINISHED, resource, item.monthly, f"of {resource.experiment or 'the lab'}", by)
    return None if resource.record in expected else unfinished


def is_over(item: Item) -> bool:
    """Say whether a thing costs no more, though AWS still lists it."""
    return item.resource.state.partition(" ")[0] in OVER


def monthly(found: Iterable[Finding]) -> tuple[float, int]:
    """Return what findings cost a month together, and of how many that is not known."""
    costs = [finding.monthly for finding in found]
    return total([cost for cost in costs if cost is not None]) or 0.0, costs.count(None)
