"""What in an account is the lab's, by the tags of it all. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from scripts.core.account.account_survey import Item
from scripts.core.account.audit import is_over
from scripts.core.aws.tags import DATASET, EXPERIMENT, KEPT, SHARED

MACHINE = "instance"


@dataclass(slots=True)
class Belongings:
    """What carries the tags of ec2-lab."""

    own: list[Item] = field(default_factory=list)
    """The lab's own: what is shared, and what no experiment and no data set is named on."""
    data: list[Item] = field(default_factory=list)
    """Data sets and kept volumes, which were made to outlive what made them."""
    at_work: list[Item] = field(default_factory=list)
    """What experiments have, whoever's, and machines that build data sets."""
    others: list[Item] = field(default_factory=list)
    """What another lab shares."""


def belongings(items: Iterable[Item], lab: str) -> Belongings:
    """Sort what lives in an account by whose it is; what is nobody's in any lab is left out."""
    found = Belongings()
    for item in items:
        if not is_over(item) and any(key.startswith("lab:") for key in item.tags):
            _pile(found, item, lab).append(item)
    return found


def _pile(found: Belongings, item: Item, lab: str) -> list[Item]:
    tags = item.tags
    if item.resource.kind == MACHINE:
        return found.at_work
    if DATASET in tags or KEPT in tags:
        return found.data
    if SHARED in tags:
        return found.own if tags[SHARED] == lab else found.others
    return found.at_work if EXPERIMENT in tags else found.own
