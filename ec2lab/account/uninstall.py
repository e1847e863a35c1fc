"""Whether the lab may be removed from an account: not while anybody uses it, nor while parts cannot be seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ec2lab.audit.audit import is_over
from ec2lab.audit.inventory import Item
from ec2lab.aws.tags import BY, DATASET, EXPERIMENT, REGISTRY, RETAINED, SHARED
from ec2lab.errors import UserError
from ec2lab.registry.ownership import Marks, Ownership
from ec2lab.resource import GLOBAL
from ec2lab.session import Session

INSTANCE, SNAPSHOT = "instance", "snapshot"


@dataclass(slots=True)
class Belongings:
    """Resources with ec2-lab's tags."""

    own: list[Item] = field(default_factory=list)
    """The lab's own, created by this registry: shared resources, and those of no experiment or dataset."""
    data: list[Item] = field(default_factory=list)
    """Datasets and retained volumes of this registry, which outlive what created them."""
    running: list[Item] = field(default_factory=list)
    """Resources of any registry's experiments, and instances that build datasets."""
    others: list[Item] = field(default_factory=list)
    """Shared resources of other labs, resources of other registries, and datasets tagged by hand."""
    copies: list[Item] = field(default_factory=list)
    """Resources with the tags of one that this registry created, but not created by it: a backup of a dataset, for
    example."""


def belongings(items: Iterable[Item], lab: str, ours: Ownership) -> Belongings:
    """Classify an account's resources by owner; those of no lab are left out.

    One lab tag alone makes nothing ours. A call's tags count even if its record is lost: nothing else shows the
    resource, and it is listed before it is deleted.
    """
    found = Belongings()
    for item in items:
        if not is_over(item) and (pile := _pile(found, item, lab, ours)) is not None:
            pile.append(item)
    return found


def _pile(found: Belongings, item: Item, lab: str, ours: Ownership) -> list[Item] | None:
    tags, marks = item.tags, Marks.read(item.tags)
    if marks is None:
        return found.others if DATASET in tags and item.resource.resource_type == SNAPSHOT else None
    if item.resource.resource_type == INSTANCE or (EXPERIMENT in tags and RETAINED not in tags):
        return found.running
    if marks.registry not in ours.registries:
        return found.others
    if marks.record in ours.known.tokens and not ours.proves(item.resource_type, item.found):
        return found.copies
    if DATASET in tags or RETAINED in tags:
        return found.data
    return found.own if tags.get(SHARED, lab) == lab else found.others


def check_can_uninstall(session: Session, found: Belongings, unseen: Mapping[str, str], *, with_data: bool) -> None:
    """Raise UserError where something must be resolved before the lab is deleted."""
    unresolved = {str(intent.experiment) for intent in session.records.state().unresolved}
    running = sorted({whose(item) for item in found.running} | unresolved)
    if running:
        raise UserError(f"in use: {', '.join(running)}; run `make teardown` for each first, or ask its owner to")
    if not uses_iam(session):
        unseen = {region: why for region, why in unseen.items() if region != GLOBAL}
    if unseen:
        named = "; ".join(f"{region}: {why}" for region, why in unseen.items())
        raise UserError(
            f'nothing was deleted, because regions could not be queried: {named} (REGIONS="…" limits the command)'
        )
    ids = session.records.registry_ids()
    labs = sorted(
        {item.tags[SHARED] for item in found.others if SHARED in item.tags and item.tags.get(REGISTRY) in ids}
    )
    if with_data and labs:
        raise UserError(
            f"INCLUDE_DATASETS: {', '.join(labs)} shares this registry, and datasets do not record which lab they "
            "belong to; delete them with `make dataset-prune`"
        )


def uses_iam(session: Session) -> bool:
    """Say whether the lab uses, or used, IAM, so that reading it matters."""
    asked_for = session.records.state_with_history().resource_types
    lab = session.lab
    is_configured = bool(lab.logs.artifact_uri or lab.notify.email or lab.notify.topic)
    return is_configured or any(session.resource_types[name].is_global for name in asked_for)


def whose(item: Item) -> str:
    by = item.tags.get(BY, "")
    return f"{item.resource.experiment or item.resource}{f' of {by}' if by else ''}"
