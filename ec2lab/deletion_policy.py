"""Deletion policies: what happens to a volume at teardown, and the form of its tag. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Self

from ec2lab.units import duration, duration_text
from ec2lab.validators import NAME

TAG = re.compile(
    r"retain(?: (?P<length>\S+)(?: (?P<reason>.*))?)?|"
    rf"snapshot (?P<dataset>{NAME})(?: (?P<version>\S{{1,64}}))?"
)


class DeletionPolicy(StrEnum):
    DELETE = "delete"
    SNAPSHOT = "snapshot"
    RETAIN = "retain"


@dataclass(frozen=True, slots=True)
class Disposition:
    """What happens to a volume that is not deleted with its instance."""

    policy: DeletionPolicy
    retain_for: timedelta | None = None
    reason: str = ""  # why it is retained
    dataset: str = ""  # the dataset that its snapshot becomes a version of
    version: str | None = None  # the name of that version, if it was chosen

    @classmethod
    def parse(cls, tag: str) -> Self:
        """Parse a tag: `retain 30d the reason`, or `snapshot dataset version`. Raises ValueError."""
        found = TAG.fullmatch(tag)
        if found is None:
            message = f"{tag!r} does not name a deletion policy"
            raise ValueError(message)
        if found["dataset"]:
            return cls(DeletionPolicy.SNAPSHOT, dataset=found["dataset"], version=found["version"])
        length = duration(found["length"]) if found["length"] else None
        return cls(DeletionPolicy.RETAIN, length, found["reason"] or "")

    def __str__(self) -> str:
        length = duration_text(self.retain_for) if self.retain_for is not None else ""
        words = (self.policy, length, self.reason, self.dataset, self.version)
        return " ".join(filter(None, words))
