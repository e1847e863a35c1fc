"""What in an account is the lab's, by the tags of it all. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ec2lab.audit.audit import is_over
from ec2lab.audit.inventory import Item
from ec2lab.aws.tags import DATASET, EXPERIMENT, KEPT, SHARED
from ec2lab.registry.ownership import Marks, Ownership

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
