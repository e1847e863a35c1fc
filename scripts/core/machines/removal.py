"""Deleting everything an experiment owns, until AWS itself says that nothing is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from scripts.core import clock
from scripts.core.aws.tags import tag_map
from scripts.core.errors import LabError
from scripts.core.kind import Resource
from scripts.core.living import is_new, is_young, living
from scripts.core.polling import growing
from scripts.core.reconcile import without_experiment
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
    went_along: dict[str, Resource] = field(default_factory=dict)
    """By id, what went with something else, as a machine's volumes do."""
    failures: dict[str, Exception] = field(default_factory=dict)
    """By id, why AWS will not delete it."""
    seen: dict[str, Resource] = field(default_factory=dict)
    """By id, all that is on record or that AWS has shown."""
    stays: dict[str, Resource] = field(default_factory=dict)
    """By id, what open intents turn out to have made and is the lab's own: its security group, say."""

    def run(self) -> None:
        """Delete what the registry says lives, then whatever AWS still shows, until it shows nothing.

        Raises the refusal when all that is left is what AWS will not delete, LabError when patience ends.
        """
        known = self.known
        if not known.seen:
            return
        deadline, pauses = clock.monotonic() + PATIENCE, growing(FIRST_POLL, LONGEST_POLL)
        self.seen = {resource.id: resource for resource in known.living}
        self._delete(known.living)
        while (left := self._looked()) or self._too_early(known):
            self._delete({r.id: r for r in [*self._not_agreed(known), *left]}.values())
            stuck = [resource for resource in left if not self._is_going(resource)]
            if stuck and all(resource.id in self.failures for resource in stuck):
                raise self.failures[stuck[0].id]
            if clock.monotonic() > deadline:
                raise LabError(self._in_vain(left))
            clock.sleep(next(pauses))
        self._note(known)

    def _looked(self) -> list[Resource]:
        left = self.look()
        self.seen |= {resource.id: resource for resource in left}
        return left

    def _is_going(self, resource: Resource) -> bool:
        return self.session.kinds[resource.kind].is_going(resource)

    def _not_agreed(self, known: Holdings) -> list[Resource]:
        return [one for one in known.living if one.id not in self.deleted and not self._parent(one)]

    def _parent(self, resource: Resource) -> Resource | None:
        """Return what a resource came with and goes with, as an instance's volumes do: one request made both."""
        before = self.session.kinds[resource.kind].deleted_after
        same = (one for one in self.seen.values() if one.record == resource.record and one.record)
        return next((one for one in same if one.kind in before), None)

    def _too_early(self, known: Holdings) -> bool:
        """Say whether AWS may still have something that it does not show yet."""
        young = [intent for intent in known.unsettled if is_young(self.session, intent.time)]
        if young:
            self.stays |= {resource.id: resource for resource in without_experiment(self.session, young)}
            young = unresolved(young, [*self.seen.values(), *self.stays.values()], self.session.kinds)
        return bool(young) or any(is_new(self.session, resource) for resource in self._not_agreed(known))

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

    def _note(self, known: Holdings) -> None:
        gone = {*self.deleted, *self.went_along, *(resource.id for resource in known.living)}
        settled = [intent.id for intent in known.unsettled]
        found = [as_note(resource) for resource in self.stays.values()]
        if gone or settled:
            self.session.recorder.note(**{GONE: sorted(gone), SETTLED: settled, **({FOUND: found} if found else {})})

    def _in_vain(self, left: list[Resource]) -> str:
        named = ", ".join(f"{resource} {resource.state}".rstrip() for resource in left)
        return f"{self.name}: still there after {PATIENCE // 60} minutes: {named}; run the same again"


def remove_everything(session: Session, experiment: str, report: Report) -> Removal:
    """Delete what an experiment owns, and return what that was. Raises when anything is left, saying why."""
    known = session.holdings(experiment)
    removal = Removal(session, experiment, report, known, lambda: living(session, experiment, known))
    removal.run()
    return removal


def remove_these(session: Session, name: str, going: Sequence[Resource], report: Report) -> Removal:
    """Delete things that carry the lab's tags, until AWS shows none of them any more. Raises as a teardown does."""
    wanted = {resource.id for resource in going}
    known = Holdings(living=list(going), tokens={str(resource.record) for resource in going})

    def left() -> list[Resource]:
        places = {(resource.kind, resource.region) for resource in going}
        asked = [session.threads.submit(_tagged, session, kind, region) for kind, region in sorted(places)]
        return [resource for answer in asked for resource in answer.result() if resource.id in wanted]

    removal = Removal(session, name, report, known, left)
    removal.run()
    return removal


def _tagged(session: Session, kind_name: str, region: str) -> list[Resource]:
    kind = session.kinds[kind_name]
    found = kind.find(session.cloud, region, [{"Name": "tag-key", "Values": ["lab:*"]}])
    return [kind.resource(item, region, tag_map(item.get("Tags"))) for item in found if not kind.is_gone(item)]
