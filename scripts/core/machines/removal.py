"""Deleting everything an experiment owns, until AWS itself says that nothing is left."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from scripts.core import clock
from scripts.core.errors import LabError
from scripts.core.kind import Resource
from scripts.core.living import is_new, is_young, left_alone, living, shown_by_id
from scripts.core.polling import growing
from scripts.core.reconcile import without_experiment
from scripts.core.registry.call import Call
from scripts.core.registry.evidence import unresolved
from scripts.core.registry.resources import FOUND, GONE, SETTLED, Holdings, as_note
from scripts.core.session import Session

PATIENCE = 20 * 60
"""Seconds until what is still there is reported as left. Large machines take minutes to shut down."""
FIRST_POLL, LONGEST_POLL = 0.2, 5.0

Report = Callable[[Resource], None]


@dataclass
class Removal:
    """The removal of what somebody owns."""

    session: Session
    name: str
    deleting: Report
    """Called for each resource once AWS has agreed to delete it."""
    known: Holdings
    """What the registry says of it."""
    look: Callable[[], list[Resource]]
    """Asks AWS what of it is alive."""
    deleted: dict[str, Resource] = field(default_factory=dict)
    """By id, what AWS has agreed to delete."""
    shown: set[str] = field(default_factory=set)
    """The ids of all that AWS has shown."""
    asked_for: set[str] = field(default_factory=set)
    """Those of what it was asked for by id, as it did not show it by its tags."""
    others: list[Resource] = field(default_factory=list)
    """What was there by its id, and is left alone."""
    went_along: dict[str, Resource] = field(default_factory=dict)
    """By id, what went with something else, as a machine's volumes do."""
    failures: dict[str, Exception] = field(default_factory=dict)
    """By id, why AWS will not delete it."""
    seen: dict[str, Resource] = field(default_factory=dict)
    """By id, all that is on record or that AWS has shown."""
    stays: dict[str, Resource] = field(default_factory=dict)
    """By id, what open intents turn out to have made and is the lab's own: its security group, say."""

    def run(self) -> None:
        """Delete what AWS shows as this owner's, until it shows nothing.

        What the registry names is looked at before it is deleted: it must carry the owner's tags. Raises the refusal
        when all that is left is what AWS will not delete, LabError when patience ends, or where something that the
        registry names is there and is left alone.
        """
        if not self.known.seen:
            return
        deadline, pauses = clock.monotonic() + PATIENCE, growing(FIRST_POLL, LONGEST_POLL)
        self.seen = {resource.id: resource for resource in self.known.living}
        while (left := self._looked()) or self._too_early():
            self._delete(left)
            if self._other_things() and all(self._is_going(resource) for resource in left):
                break  # what is left may hang on what is left alone
            stuck = [resource for resource in left if not self._is_going(resource)]
            if stuck and all(resource.id in self.failures for resource in stuck):
                raise self.failures[stuck[0].id]
            if clock.monotonic() > deadline:
                raise LabError(self._in_vain(left))
            clock.sleep(next(pauses))
        others = self._other_things()
        self._note({resource.id for resource in [*others, *left]})
        if others:
            raise left_alone(self.name, others, self.session.registry.id())

    def _looked(self) -> list[Resource]:
        left = self.look()
        self.shown |= {resource.id for resource in left}
        self.seen |= {resource.id: resource for resource in left}
        return left

    def _is_going(self, resource: Resource) -> bool:
        return self.session.kinds[resource.kind].is_going(resource)

    def _parent(self, resource: Resource) -> Resource | None:
        """Return what a resource came with and goes with, as an instance's volumes do: one request made both."""
        before = self.session.kinds[resource.kind].deleted_after
        same = (one for one in self.seen.values() if one.record == resource.record and one.record)
        return next((one for one in same if one.kind in before), None)

    def _missing(self) -> list[Resource]:
        """Return what the registry says lives, and AWS has not shown so far."""
        return [resource for resource in self.known.living if resource.id not in self.shown]

    def _other_things(self) -> list[Resource]:
        """Return what is there by the ids that the registry names, and is not the owner's by its tags."""
        missing = [r for r in self._missing() if r.id not in self.asked_for and not is_new(self.session, r)]
        self.asked_for |= {resource.id for resource in missing}
        self.others += shown_by_id(self.session, missing)
        return self.others

    def _too_early(self) -> bool:
        """Say whether AWS may still have something that it does not show yet."""
        young = [intent for intent in self.known.unsettled if is_young(self.session, intent.time)]
        if young:
            self.stays |= {resource.id: resource for resource in without_experiment(self.session, young)}
            young = unresolved(young, [*self.seen.values(), *self.stays.values()], self.session.kinds)
        return bool(young) or any(is_new(self.session, one) for one in self._missing() if not self._parent(one))

    def _delete(self, resources: Iterable[Resource]) -> None:
        """Ask for each resource's deletion, in the order of the kinds; what fails keeps nothing else alive."""
        order = list(self.session.kinds)
        every = sorted(resources, key=lambda resource: order.index(resource.kind))
        ids = {resource.id for resource in every}
        for resource in every:
            parent = self._parent(resource)
            if self._is_going(resource) or (parent and parent.id in ids):
                if resource.id not in self.deleted:
                    self.went_along[resource.id] = resource
                continue
            self.failures.pop(resource.id, None)
            try:
                agreed = self._asked(resource)
            except (ClientError, BotoCoreError, ResponseParserError) as failure:
                # It counts only if AWS goes on showing the resource: of a machine long gone, AWS may say
                # `not authorized`, because a condition on its tags can't be met any more.
                self.failures[resource.id] = failure
                continue
            if agreed and resource.id not in self.deleted:
                self.deleted[resource.id] = resource
                self.went_along.pop(resource.id, None)
                self.deleting(resource)

    def _asked(self, resource: Resource) -> bool:
        """Ask AWS to delete; False where it says `not yet`, or does not know yet what it made a moment ago."""
        kind = self.session.kinds[resource.kind]
        try:
            kind.delete(self.session.cloud, resource)
        except ClientError as refusal:
            code = refusal.response["Error"]["Code"]
            if code in kind.not_yet_codes:
                return False
            if code not in kind.gone_codes:
                raise
            return not is_new(self.session, resource)
        return True

    def _note(self, others: Collection[str]) -> None:
        known = self.known
        gone = {*self.deleted, *self.went_along, *(resource.id for resource in known.living)} - set(others)
        settled = [intent.id for intent in known.unsettled]
        found = [as_note(resource) for resource in self.stays.values()]
        # Also where nothing was left: what is at hand of it can be put away once AWS was asked.
        if gone or settled or self.session.holdings(self.name).seen:
            self.session.recorder.note(**{GONE: sorted(gone), SETTLED: settled, **({FOUND: found} if found else {})})

    def _in_vain(self, left: list[Resource]) -> str:
        named = ", ".join(f"{resource} {resource.state}".rstrip() for resource in left)
        return f"{self.name}: still there after {PATIENCE // 60} minutes: {named}; run the same again"


def remove_everything(session: Session, experiment: str, report: Report, known: Holdings | None = None) -> Removal:
    """Delete what an experiment owns, and return what that was. Raises when anything is left, saying why."""
    held = known or session.holdings(experiment)
    removal = Removal(session, experiment, report, held, lambda: living(session, experiment, held))
    removal.run()
    return removal


def remove_these(session: Session, name: str, going: Sequence[Resource], report: Report) -> Removal:
    """Delete things that were looked at before, until AWS shows none of them any more. Raises as a teardown does.

    What carries another call's tag by now is left alone.
    """
    records = {resource.id: resource.record for resource in going}
    known = Holdings(living=list(going), calls={str(record): Call(str(record)) for record in records.values()})
    removal = Removal(
        session, name, report, known,
        lambda: [one for one in shown_by_id(session, going) if one.record == records[one.id]],
    )  # fmt: skip
    removal.run()
    return removal
