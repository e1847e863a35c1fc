"""The tables of a report: live resources, errors, datasets. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ec2lab.costs.money import total
from ec2lab.costs.summary import CostSummary
from ec2lab.datasets.costs import PricedSnapshot
from ec2lab.datasets.dataset import newest
from ec2lab.events.report import DatasetSummary, Rejections
from ec2lab.registry.history import LaunchError
from ec2lab.report.timeline import short
from ec2lab.resource import Resource
from ec2lab.units import format_bytes

LONGEST_MESSAGE = 240
SECRETS = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b|(?<=authorization failure message: )\S+")
"""Access key ids, and AWS's encoded messages
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-prefixes)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A live resource, with the cost of it and of what came with it."""

    resource: Resource
    spent: CostSummary

    @property
    def where(self) -> str:
        """Its zone, or its region where it has none."""
        return self.resource.details.get("zone", self.resource.region)

    @property
    def what(self) -> str:
        """Its type or size, and its market."""
        details = self.resource.details
        return " ".join(filter(None, (details.get("type") or details.get("size"), details.get("market"))))


def reasons(experiment: str, errors: Iterable[LaunchError]) -> list[Rejections]:
    """Group errors by category and pool, most frequent first."""
    groups: dict[tuple[str, ...], list[LaunchError]] = defaultdict(list)
    for one in errors:
        groups[one.zone or one.region, one.type, one.market, one.error.code].append(one)
    found = [_reason(experiment, group) for group in groups.values()]
    return sorted(found, key=lambda reason: (-reason.count, reason.where, reason.what, reason.code))


def _reason(experiment: str, group: Sequence[LaunchError]) -> Rejections:
    last = max(group, key=lambda one: one.time)
    return Rejections(
        experiment=experiment, where=last.zone or last.region, what=f"{last.type} {last.market}".strip(),
        category=last.error.category.value, code=last.error.code, message=plain(last.error.message),
        count=len(group), first=min(one.time for one in group), last=last.time,
    )  # fmt: skip


def plain(message: str) -> str:
    """Return AWS's message in one line, shortened, without confidential parts."""
    line = SECRETS.sub("(left out)", " ".join(message.split()))
    return line if len(line) <= LONGEST_MESSAGE else f"{line[:LONGEST_MESSAGE]}…"


def dataset_rows(found: Sequence[PricedSnapshot]) -> list[DatasetSummary]:
    """Return a row for each version of each dataset, by name, newest version first."""
    versions: dict[tuple[str, str], list[PricedSnapshot]] = defaultdict(list)
    for one in found:
        versions[one.snapshot.dataset, one.snapshot.version].append(one)
    latest = {name: newest(c.snapshot for c in found if c.snapshot.dataset == name) for name, _ in versions}
    rows = [
        DatasetSummary(
            dataset=name, version=version, created_at=min(one.snapshot.made for one in there),
            newest=(top := latest[name]) is not None and top.version == version,
            regions=_words(there), dollars_per_month=total(one.dollars for one in there),
        )
        for (name, version), there in versions.items()
    ]  # fmt: skip
    rows.sort(key=lambda row: row.created_at, reverse=True)
    return sorted(rows, key=lambda row: row.dataset)


def _words(there: Sequence[PricedSnapshot]) -> dict[str, str]:
    regions = sorted({one.snapshot.region for one in there})
    return {region: ", ".join(word(one) for one in there if one.snapshot.region == region) for region in regions}


def word(one: PricedSnapshot) -> str:
    """Return a snapshot's state in a word: its size where it is usable."""
    snapshot = one.snapshot
    if snapshot.failure or snapshot.state == "error":
        return f"failed {plain(snapshot.failure)}".strip()
    return format_bytes(snapshot.size) if snapshot.completed else f"{snapshot.state} {snapshot.progress}".strip()


def day(moment: str) -> str:
    """Format an RFC 3339 time for people, to the minute in UTC."""
    return short(datetime.fromisoformat(moment)) if moment else ""
