"""Deleting everything an experiment owns, until AWS itself says that nothing is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from scripts.core.errors import LabError
from scripts.core.kind import Resource
from scripts.core.living import living
from scripts.core.resources import GONE, SETTLED, Holdings
from scripts.core.session import Session

PATIENCE = 20 * 60
"""Seconds until what is still there is reported as left. Large machines take minutes to shut down."""
FIRST_POLL, LONGEST_POLL = 0.2, 5.0

NOT_YET = frozenset(
    {"DependencyViolation", "VolumeInUse", "IncorrectState", "IncorrectInstanceState", "InvalidSnapshot.InUse",
     "ResourceInUse", "InvalidGroup.InUse"}
)  # fmt: skip
"""Refusals that pass once what depends on the resource is gone."""

Report = Callable[[Resource], None]


@dataclass
class Removal:
    """The removal of one experiment's resources."""

    session: Session
    experiment: str
    deleting: Report
    """Called for each resource that AWS was asked to delete."""
    deleted: dict[str, Resource] = field(default_factory=dict)
    """By id, what AWS was asked to delete, or was seen on its way out."""
    reasons: dict[str, str] = field(default_factory=dict)
    """By id, why AWS would not delete it (yet)."""

    def run(self, holdings: Holdings) -> list[Resource]:
        """Delete what the registry says lives, then whatever AWS still shows, until it shows nothing.

        Returns what is left when patience ends; empty is the promise kept, and is noted in the registry.
        """
        regions = holdings.regions | {resource.region for resource in holdings.living}
        self._delete(holdings.living)
        deadline, poll = time.monotonic() + PATIENCE, FIRST_POLL
        while left := living(self.session, self.experiment, regions):
            if time.monotonic() > deadline:
                return left
            self._delete(left)
            time.sleep(poll)
            poll = min(LONGEST_POLL, poll * 1.5)
        settled = [intent.id for intent in holdings.unsettled]
        if holdings.living or self.deleted or settled:
            gone = {*self.deleted, *(resource.id for resource in holdings.living)}
            self.session.recorder.note(**{GONE: sorted(gone), SETTLED: settled})
        return []

    def _delete(self, resources: Iterable[Resource]) -> None:
        """Ask for each resource's deletion once, in the order of the kinds; what fails keeps nothing else alive."""
        order = list(self.session.kinds)
        failures: list[Exception] = []
        for resource in sorted(resources, key=lambda resource: order.index(resource.kind)):
            if resource.id in self.deleted:
                continue
            try:
                deleting = self.session.kinds[resource.kind].is_going(resource) or self._asked(resource)
            except (ClientError, BotoCoreError, ResponseParserError) as failure:
                failures.append(failure)
                continue
            if deleting:
                self.deleted[resource.id] = resource
                self.deleting(resource)
        if failures:
            raise failures[0]

    def _asked(self, resource: Resource) -> bool:
        """Ask AWS to delete; False where it says `not yet`. What is gone already counts as deleted."""
        kind = self.session.kinds[resource.kind]
        try:
            kind.delete(self.session.cloud, resource)
        except ClientError as refusal:
            code = refusal.response["Error"]["Code"]
            self.reasons[resource.id] = code
            if code in NOT_YET:
                return False
            if code not in kind.gone_codes:
                raise
        return True


def remove_everything(session: Session, experiment: str, report: Report) -> list[Resource]:
    """Delete what an experiment owns. Returns what was deleted; raises LabError naming what is left."""
    removal = Removal(session, experiment, report)
    if left := removal.run(session.holdings(experiment)):
        named = ", ".join(f"{r} {r.state} {removal.reasons.get(r.id, '')}".rstrip() for r in left)
        raise LabError(f"{experiment}: still there after {PATIENCE // 60} minutes: {named}; run make teardown again")
    return list(removal.deleted.values())
