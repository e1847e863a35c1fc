"""The account against the registry: what costs money and nobody remembers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any

from ec2lab.audit.inventory import Item, Survey
from ec2lab.aws.tags import BY, DATASET, DELETION_POLICY, KEPT, SHARED
from ec2lab.costs.money import Dollars, total
from ec2lab.instance_state import OVER as INSTANCE_OVER
from ec2lab.registry.evidence import token_of
from ec2lab.registry.ownership import PREFIX, Marks, Ownership
from ec2lab.registry.state import ResourceState
from ec2lab.resource import Resource
from ec2lab.volumes.retention import Retention

IsYoung = Callable[[str], bool]
"""Says of a time whether AWS may not show yet what was made then."""
OVER = (*INSTANCE_OVER, "deleting", "deleted", "error")
"""States in which a thing costs no more."""

OF_EXPERIMENTS, SNAPSHOT = ("instance", "volume", "address"), "snapshot"
"""The kinds that are never a lab's as a whole, whatever their tags say; and the kind that a dataset is."""


class Verdict(StrEnum):
    """What is the matter with a thing."""

    ORPHAN = "orphan"
    """This registry made it, by its tags, and knows nothing of it any more."""
    NOT_TERMINATED = "not-terminated"
    """The registry asked for it and takes it for ended, or never heard of its making; it lives."""
    COPY = "copy"
    """It has the tags of what this registry made, and is not that: something copied them."""
    STALE_RECORD = "stale-record"
    """It stands in the registry, and AWS knows nothing of it."""
    ANOTHERS = "another registry's"
    """It carries the lab's tags, and another registry made it."""
    UNMANAGED = "unmanaged"
    """Nobody in the lab asked for it, and it looks forgotten, or carries some of the lab's tags."""
    RETENTION_EXPIRED = "retention-expired"
    """It was kept on purpose, until a day that has passed."""
    RETAINED = "kept"
    """It was kept on purpose, and costs."""


ERROR_VERDICTS = (Verdict.ORPHAN, Verdict.NOT_TERMINATED, Verdict.COPY, Verdict.STALE_RECORD, Verdict.RETENTION_EXPIRED)
"""What is wrong for certain; what is strange, another's or kept may be meant so."""


DELETABLE = (Verdict.ORPHAN, Verdict.COPY, Verdict.ANOTHERS)
"""What may be deleted: of orphans one's own, all else by its id alone."""


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
    """Who asked for it by CloudTrail, where that was asked."""
    registry: str = ""
    """Which registry made it, by its tags."""
    attached: tuple[str, ...] = ()
    """The instances that hold it."""
    spared: str = ""
    """Why it is not simply deleted."""
    kept: Retention | None = None
    """What it says of itself, where it is a kept volume."""


def findings(
    survey: Survey,
    before: ResourceState,
    after: ResourceState,
    registries: Collection[str],
    within_consistency_window: IsYoung,
    today: date,
) -> list[Finding]:
    """Compare what lives with what the registry said before AWS was asked and says after; the dearest first.

    `registries` are the ids that this registry answers for.

    What is launched or torn down meanwhile differs between the two, and is no finding. Datasets and what is the whole
    lab's belong there, whoever's registry made them.
    """
    expected = {resource.record for known in (before, after) for resource in known.live}
    expected |= {token_of(intent) for intent in after.unresolved if within_consistency_window(intent.time)}
    ours = Ownership(after, registries)
    found = [finding for item in survey.items if (finding := _finding(item, ours, expected, today))]
    shown = {item.resource.id for item in survey.items if not is_over(item)}
    stood = {resource.id for resource in before.live}
    found += [
        Finding(Verdict.STALE_RECORD, resource, 0.0, "in the registry, and not in AWS")
        for resource in after.live
        if resource.id in stood - shown
        and resource.region in survey.regions
        and not within_consistency_window(resource.recorded)
    ]
    order = list(Verdict)
    return sorted(found, key=lambda f: (order.index(f.verdict), -(f.monthly or 0.0), str(f.resource)))


def _finding(item: Item, ours: Ownership, expected: set[str | None], today: date) -> Finding | None:
    resource, tags = item.resource, item.tags
    if is_over(item) or _is_the_labs(item):
        return None
    marks = Marks.read(tags)
    if marks is None:
        some = "carries some of the lab's tags, and not all" if any(key.startswith(PREFIX) for key in tags) else ""
        why = ", ".join(filter(None, (item.idle, some)))
        return Finding(Verdict.UNMANAGED, resource, item.monthly, why, tags.get(BY, "")) if why else None
    why = f"of {resource.experiment or 'the lab'}"
    finding = Finding(
        Verdict.NOT_TERMINATED, resource, item.monthly, why, marks.by,
        registry=marks.registry, attached=held_by(item.found),
    )  # fmt: skip
    if marks.registry not in ours.registries:
        return replace(finding, verdict=Verdict.ANOTHERS, why=f"{why}, of the registry {marks.registry[:8]}…")
    return _of_ours(item, marks, finding, ours, expected, today)


def _is_the_labs(item: Item) -> bool:
    """Say whether a thing belongs to a lab as a whole. Nothing of an experiment's own hides behind such a tag."""
    if item.resource.kind in OF_EXPERIMENTS:
        return False
    return SHARED in item.tags or (DATASET in item.tags and item.resource.kind == SNAPSHOT)


def _of_ours(
    item: Item, marks: Marks, finding: Finding, ours: Ownership, expected: set[str | None], today: date
) -> Finding | None:
    """Return what is the matter with a thing that carries this registry's id."""
    if KEPT in item.tags:
        kept = Retention.read(item.tags)
        return replace(
            finding,
            verdict=Verdict.RETENTION_EXPIRED if kept.is_over(today) else Verdict.RETAINED,
            why=str(kept),
            kept=kept,
        )
    if marks.record not in ours.known.tokens:
        end = item.tags.get(DELETION_POLICY)
        return replace(finding, verdict=Verdict.ORPHAN, spared=f"marked {end} at teardown" if end else "")
    if not ours.proves(item.kind, item.found):
        return replace(finding, verdict=Verdict.COPY, why=f"has the tags of something {finding.why}, copied")
    return None if marks.record in expected else finding


def held_by(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the instances that a volume is attached to."""
    return tuple(attachment["InstanceId"] for attachment in found.get("Attachments", ()) if "InstanceId" in attachment)


def is_over(item: Item) -> bool:
    """Say whether a thing costs no more, though AWS still lists it."""
    return item.resource.state in OVER


def monthly(found: Iterable[Finding]) -> tuple[float, int]:
    """Return what findings cost a month together, and of how many that is not known."""
    costs = [finding.monthly for finding in found]
    return total([cost for cost in costs if cost is not None]) or 0.0, costs.count(None)
