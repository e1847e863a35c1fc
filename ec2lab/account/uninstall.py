"""Whether the lab may be taken out of an account: not while anybody works with it, nor half of it unseen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ec2lab.audit.audit import is_over
from ec2lab.audit.inventory import Item
from ec2lab.aws.tags import BY, DATASET, EXPERIMENT, KEPT, REGISTRY, SHARED
from ec2lab.errors import UserError
from ec2lab.registry.ownership import Marks, Ownership
from ec2lab.resource import GLOBAL
from ec2lab.session import Session

INSTANCE, SNAPSHOT = "instance", "snapshot"


@dataclass(slots=True)
class Belongings:
    """What carries the tags of ec2-lab."""

    own: list[Item] = field(default_factory=list)
    """The lab's own, made by this registry: what is shared, and what no experiment and no dataset is named on."""
    data: list[Item] = field(default_factory=list)
    """Datasets and kept volumes of this registry, which were made to outlive what made them."""
    at_work: list[Item] = field(default_factory=list)
    """What experiments have, whoever's, and instances that build datasets."""
    others: list[Item] = field(default_factory=list)
    """What another lab shares, what another registry made, and datasets that somebody tagged by hand."""
    copies: list[Item] = field(default_factory=list)
    """What has the tags of something that this registry made, and is not that: a backup of a dataset, for one."""


def belongings(items: Iterable[Item], lab: str, ours: Ownership) -> Belongings:
    """Sort what lives in an account by whose it is; what is nobody's in any lab is left out.

    A tag of the lab's alone makes nothing its own. What carries a call's tags of which no record is left does count:
    nothing else tells of it, and it is shown before it is deleted.
    """
    found = Belongings()
    for item in items:
        if not is_over(item) and (pile := _pile(found, item, lab, ours)) is not None:
            pile.append(item)
    return found


def _pile(found: Belongings, item: Item, lab: str, ours: Ownership) -> list[Item] | None:
    tags, marks = item.tags, Marks.read(item.tags)
    if marks is None:
        return found.others if DATASET in tags and item.resource.kind == SNAPSHOT else None
    if item.resource.kind == INSTANCE or (EXPERIMENT in tags and KEPT not in tags):
        return found.at_work
    if marks.registry not in ours.registries:
        return found.others
    if marks.record in ours.known.tokens and not ours.proves(item.kind, item.found):
        return found.copies
    if DATASET in tags or KEPT in tags:
        return found.data
    return found.own if tags.get(SHARED, lab) == lab else found.others


def check_can_uninstall(session: Session, found: Belongings, unseen: Mapping[str, str], *, with_data: bool) -> None:
    """Raise UserError where something must be seen to before the lab is deleted."""
    unresolved = {str(intent.experiment) for intent in session.holdings().unresolved}
    at_work = sorted({whose(item) for item in found.at_work} | unresolved)
    if at_work:
        raise UserError(f"it is at work: {', '.join(at_work)}; `make teardown` each first, or have its owner do so")
    if not uses_iam(session):
        unseen = {region: why for region, why in unseen.items() if region != GLOBAL}
    if unseen:
        named = "; ".join(f"{region}: {why}" for region, why in unseen.items())
        raise UserError(f'could not be looked at: {named}; REGIONS="…" names those that are meant, nothing was deleted')
    ids = session.registry_ids()
    labs = sorted(
        {item.tags[SHARED] for item in found.others if SHARED in item.tags and item.tags.get(REGISTRY) in ids}
    )
    if with_data and labs:
        raise UserError(
            f"INCLUDE_DATASETS: {', '.join(labs)} is a lab of this registry too, and datasets do not say which one's; "
            "`make dataset-prune` deletes them one by one"
        )


def uses_iam(session: Session) -> bool:
    """Say whether the lab has, or had, anything in IAM, so that it matters whether that can be looked at."""
    asked_for = session.state_with_history().kinds
    return bool(session.lab.logs.artifact_uri) or any(session.kinds[name].is_global for name in asked_for)


def whose(item: Item) -> str:
    """Return the experiment that something belongs to, and who asked for it."""
    by = item.tags.get(BY, "")
    return f"{item.resource.experiment or item.resource}{f' of {by}' if by else ''}"
