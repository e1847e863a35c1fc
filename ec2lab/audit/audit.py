"""Compares the account with the registry to find what costs money and is unmanaged. Pure but for `examined`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any

from ec2lab import clock
from ec2lab.audit.inventory import Item, Survey, survey
from ec2lab.aws.tags import BY, DATASET, DELETION_POLICY, RETAINED, SHARED
from ec2lab.costs.money import Dollars, sum_known
from ec2lab.instance_state import OVER as INSTANCE_OVER
from ec2lab.registry.evidence import token_of
from ec2lab.registry.ownership import PREFIX, Marks, Ownership
from ec2lab.registry.state import ResourceState
from ec2lab.resource import Resource
from ec2lab.resources.live_in_aws import within_consistency_window
from ec2lab.session import Session
from ec2lab.volumes.retention import Retention

IsYoung = Callable[[str], bool]  # says whether AWS may not show yet what was created at a time
OVER = (*INSTANCE_OVER, "deleting", "deleted", "error")  # states in which a resource is no longer billed

OF_EXPERIMENTS, SNAPSHOT = ("instance", "volume", "address"), "snapshot"
"""The types that never belong to a lab as a whole, whatever their tags say; and the type of datasets."""


class Verdict(StrEnum):
    """What is wrong with a resource."""

    ORPHAN = "orphan"
    """This registry created it, by its tags, but has no record of it."""
    NOT_TERMINATED = "not-terminated"
    """The registry requested it and considers it ended, or has no response; it is live."""
    COPY = "copy"
    """It has the tags of something that this registry created, but is not that: something copied them."""
    STALE_RECORD = "stale-record"
    """It is live in the registry, but AWS does not know it."""
    ANOTHERS = "another registry's"
    """It carries the lab's tags, and another registry created it."""
    UNMANAGED = "unmanaged"
    """No lab requested it, and it looks forgotten, or carries some of the lab's tags."""
    RETENTION_EXPIRED = "retention-expired"
    """It was retained until a day that has passed."""
    RETAINED = "retained"


ERROR_VERDICTS = (Verdict.ORPHAN, Verdict.NOT_TERMINATED, Verdict.COPY, Verdict.STALE_RECORD, Verdict.RETENTION_EXPIRED)
"""Certain errors; unmanaged resources, another registry's and retained ones may be intended."""


DELETABLE = (Verdict.ORPHAN, Verdict.COPY, Verdict.ANOTHERS)
"""What may be deleted: one's own orphans, everything else only by id."""


@dataclass(frozen=True, slots=True)
class Finding:
    verdict: Verdict
    resource: Resource
    monthly: Dollars
    why: str
    by: str = ""  # who created it, by its own tag: user@host
    owner: str = ""  # who created it by CloudTrail, if asked
    registry: str = ""  # the registry that created it, by its tags
    attached: tuple[str, ...] = ()
    spared: str = ""  # why it is not simply deleted
    retention: Retention | None = None


def examined(session: Session, regions: Sequence[str]) -> tuple[Survey, list[Finding]]:
    """Return the live resources of regions, by default all, and the findings."""
    before = session.records.state_with_history()
    seen = survey(session, regions)
    today = clock.now().date()
    after, ids = session.records.state_with_history(), session.records.registry_ids()
    return seen, findings(seen, before, after, ids, lambda time: within_consistency_window(session, time), today)


def findings(
    survey: Survey,
    before: ResourceState,
    after: ResourceState,
    registries: Collection[str],
    within_consistency_window: IsYoung,
    today: date,
) -> list[Finding]:
    """Compare live resources with the registry before and after they were queried; most expensive first.

    `registries` are the ids that this registry owns. What is launched or torn down meanwhile differs between the two
    states, and is not reported. Datasets and the lab's shared resources are expected, whoever's registry created them.
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
    """Say whether a resource belongs to a lab as a whole. An experiment's own cannot hide behind such a tag."""
    if item.resource.resource_type in OF_EXPERIMENTS:
        return False
    return SHARED in item.tags or (DATASET in item.tags and item.resource.resource_type == SNAPSHOT)


def _of_ours(
    item: Item, marks: Marks, finding: Finding, ours: Ownership, expected: set[str | None], today: date
) -> Finding | None:
    if RETAINED in item.tags:
        retention = Retention.read(item.tags)
        return replace(
            finding,
            verdict=Verdict.RETENTION_EXPIRED if retention.is_over(today) else Verdict.RETAINED,
            why=str(retention),
            retention=retention,
        )
    if marks.record not in ours.known.tokens:
        end = item.tags.get(DELETION_POLICY)
        return replace(finding, verdict=Verdict.ORPHAN, spared=f"marked {end} at teardown" if end else "")
    if not ours.proves(item.resource_type, item.found):
        return replace(finding, verdict=Verdict.COPY, why=f"has the tags of something {finding.why}, copied")
    return None if marks.record in expected else finding


def held_by(found: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(attachment["InstanceId"] for attachment in found.get("Attachments", ()) if "InstanceId" in attachment)


def is_over(item: Item) -> bool:
    """Say whether a resource is no longer billed, though AWS still lists it."""
    return item.resource.state in OVER


def monthly(found: Iterable[Finding]) -> tuple[float, int]:
    """Return the total monthly cost of findings, and how many have an unknown cost."""
    return sum_known(finding.monthly for finding in found)
