"""Deletes everything an experiment owns, until AWS itself shows that nothing is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from ec2lab import clock
from ec2lab.aws.errors import AWS_ERRORS, reason
from ec2lab.aws.region_queries import Key, Responses
from ec2lab.errors import UserError
from ec2lab.events import Emit
from ec2lab.events.teardown import Deleting, DeletionPending
from ec2lab.polling import attempts
from ec2lab.progress import working
from ec2lab.registry.evidence import Call, unresolved
from ec2lab.registry.record import Record
from ec2lab.registry.state import DELETED, DISCOVERED, RESOLVED, ResourceState, as_annotation
from ec2lab.resource import Resource
from ec2lab.resources.live_in_aws import is_new, left_alone, seen_alive, seen_by_id, within_consistency_window
from ec2lab.resources.reconcile import without_experiment
from ec2lab.session import Session

PATIENCE = 20 * 60
"""Seconds after which remaining resources are reported. Large instances take minutes to shut down."""
POLL = 0.2, 5.0
SILENCE = 10.0  # seconds after which the command says what it waits for, and why


@dataclass
class Deletion:
    session: Session
    name: str
    emit: Emit
    known: ResourceState  # the owner's state by the registry
    find_remaining: Callable[[], Responses[list[Resource]]]  # asks AWS for the owner's live resources
    deleted: dict[str, Resource] = field(default_factory=dict)  # by id, what AWS accepted to delete
    shown: set[str] = field(default_factory=set)  # the ids of everything that AWS showed
    asked_for: set[str] = field(default_factory=set)  # those queried by id, as they did not show up by tag
    others: list[Resource] = field(default_factory=list)  # resources with a recorded id that are left alone
    went_along: dict[str, Resource] = field(default_factory=dict)
    """By id, what was deleted along with something else, such as an instance's volumes."""
    failures: dict[str, Exception] = field(default_factory=dict)  # by id, why AWS does not delete it
    rejected: dict[str, ClientError] = field(default_factory=dict)
    """By id, AWS's last error that something else must be deleted first."""
    awaited: dict[str, float] = field(default_factory=dict)  # by id, since when it is waited for, or was last checked
    reported: dict[str, str] = field(default_factory=dict)  # by id, what was reported about the wait
    seen: dict[str, Resource] = field(default_factory=dict)  # by id, everything recorded or shown by AWS
    stays: dict[str, Resource] = field(default_factory=dict)
    """By id, what open intents turn out to have created for the lab itself, such as its security group."""
    failed: dict[Key, Exception] = field(default_factory=dict)
    """Types and regions that could not be described, whose dependencies must not be deleted."""

    def run(self) -> None:
        """Delete what AWS shows as this owner's, until it shows nothing.

        Resources in the registry are described before they are deleted: they must carry the owner's tags. Raises the
        error when AWS refuses to delete all that is left; UserError on timeout, where a recorded resource exists and is
        left alone, or where a region cannot be described.
        """
        if not self.known.seen:
            return
        self.seen = {resource.id: resource for resource in self.known.live}
        for last in attempts(clock.sleep, POLL, PATIENCE):
            if not (left := self._check_remaining()) and not self._may_be_incomplete():
                break
            self._delete(left)
            if self._other_things() and all(self._is_going(resource) for resource in left):
                break  # what is left may depend on what is left alone
            stuck = [resource for resource in left if not self._is_going(resource)]
            if stuck and all(resource.id in self.failures for resource in stuck):
                raise self._failed(stuck)
            if last:
                raise UserError("; ".join([self._in_vain(left), *self._not_seen()]))
            self._tell_what_is_awaited(left)
        others = self._other_things()
        self._note({resource.id for resource in [*others, *left]})
        if others:
            raise left_alone(self.name, others, self.session.registry.id())
        if unseen := self._not_seen():
            raise UserError(f"{self.name}: {'; '.join(unseen)}; run the command again")

    @property
    def deleted_types(self) -> dict[str, int]:
        return dict(Counter(one.resource_type for one in [*self.deleted.values(), *self.went_along.values()]))

    @property
    def unseen(self) -> dict[str, str]:
        return Responses[Any](failures=self.failed).unseen

    def _check_remaining(self) -> list[Resource]:
        responses = self.find_remaining()
        self.failed = dict(responses.failures)
        for name, resource_type in self.session.resource_types.items():
            for (region, before), problem in list(self.failed.items()):
                if before in resource_type.deleted_after:
                    self.failed.setdefault((region, name), problem)
        left = [one for some in responses.found.values() for one in some if self._can_be_seen(one)]
        self.shown |= {resource.id for resource in left}
        self.seen |= {resource.id: resource for resource in left}
        return left

    def _can_be_seen(self, resource: Resource) -> bool:
        return (resource.region, resource.resource_type) not in self.failed

    def _not_seen(self) -> list[str]:
        """Return the regions in which it is unknown whether recorded resources are gone, with reasons."""
        unseen = self.unseen
        possible = {str(intent.region): ["possibly created resources"] for intent in self.known.unresolved}
        for resource in self.known.live:
            if not self._can_be_seen(resource):
                possible.setdefault(resource.region, []).append(f"{resource.resource_type} {resource.id}")
        return [
            f"{region}: not seen: {unseen[region]}; may be there yet: {', '.join(there)}"
            for region, there in possible.items()
            if region in unseen
        ]

    def _failed(self, stuck: Sequence[Resource]) -> Exception:
        unseen = self._not_seen()
        if len(stuck) == 1 and not unseen:
            return self.failures[stuck[0].id]
        failures = [f"{resource} is not deleted: {reason(self.failures[resource.id])}" for resource in stuck]
        return UserError(f"{self.name}: {'; '.join([*failures, *unseen])}")

    def _tell_what_is_awaited(self, left: Sequence[Resource]) -> None:
        """After some seconds, report what still exists and what blocks it; again when that changes."""
        now, ids = clock.monotonic(), {resource.id for resource in left}
        for resource in left:
            parent = self._parent(resource)
            if resource.id in self.failures or (parent and parent.id in ids):
                continue
            if now - self.awaited.setdefault(resource.id, now) < SILENCE:
                continue
            why = self._why(resource)
            self.awaited[resource.id] = now
            if self.reported.get(resource.id) != why:
                self.reported[resource.id] = why
                self.emit(DeletionPending.of(resource, reason=why))

    def _why(self, resource: Resource) -> str:
        error = self.failures.get(resource.id) or self.rejected.get(resource.id)
        lock_owners = self._holders(resource)
        held = f"held by {', '.join(lock_owners)}" if lock_owners else ""
        said = reason(error) if error else f"it is {resource.shown_state}" if resource.state else "AWS shows it yet"
        return "; ".join(filter(None, (said, held)))

    def _holders(self, resource: Resource) -> list[str]:
        resource_type = self.session.resource_types[resource.resource_type]
        try:
            return self.session.queries.run_one(lambda: list(resource_type.held_by(self.session.cloud, resource)))
        except (*AWS_ERRORS, UserError):
            return []  # AWS's error of the deletion is useful without it

    def _is_going(self, resource: Resource) -> bool:
        return self.session.resource_types[resource.resource_type].is_deleting(resource)

    def _parent(self, resource: Resource) -> Resource | None:
        """Return the resource that one call created together with another, and that it is deleted with."""
        before = self.session.resource_types[resource.resource_type].deleted_after
        same = (one for one in self.seen.values() if one.record == resource.record and one.record)
        return next((one for one in same if one.resource_type in before), None)

    def _missing(self) -> list[Resource]:
        live = self.known.live
        return [resource for resource in live if resource.id not in self.shown and self._can_be_seen(resource)]

    def _other_things(self) -> list[Resource]:
        """Return existing resources with recorded ids that are not the owner's by their tags."""
        missing = [r for r in self._missing() if r.id not in self.asked_for and not is_new(self.session, r)]
        responses = seen_by_id(self.session, missing)
        self.failed |= responses.failures
        self.asked_for |= {resource.id for resource in missing if self._can_be_seen(resource)}
        self.others += [resource for some in responses.found.values() for resource in some]
        return self.others

    def _may_be_incomplete(self) -> bool:
        """Say whether AWS may still have something that it does not show yet."""
        intents = self._intents()
        young = [intent for intent in intents if within_consistency_window(self.session, intent.time)]
        if young:
            self.stays |= {resource.id: resource for resource in without_experiment(self.session, young)}
            young = unresolved(young, [*self.seen.values(), *self.stays.values()], self.session.resource_types)
        return bool(young) or any(is_new(self.session, one) for one in self._missing() if not self._parent(one))

    def _intents(self) -> list[Record]:
        unseen = {region for region, _ in self.failed}
        return [intent for intent in self.known.unresolved if intent.region not in unseen]

    def _delete(self, resources: Iterable[Resource]) -> None:
        """Request each deletion, in the order of types; an error keeps nothing else alive."""
        order = list(self.session.resource_types)
        every = sorted(resources, key=lambda resource: order.index(resource.resource_type))
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
            except (*AWS_ERRORS, UserError) as failure:
                # It counts only if AWS goes on showing the resource: for an instance long gone, AWS may return `not
                # authorized`, because a condition on its tags can no longer be met.
                self.failures[resource.id] = failure
                continue
            if agreed and resource.id not in self.deleted:
                self.deleted[resource.id] = resource
                self.went_along.pop(resource.id, None)
                self.emit(Deleting.of(resource))

    def _asked(self, resource: Resource) -> bool:
        """Request a deletion; False where something else must go first, or AWS does not know the resource yet."""
        resource_type = self.session.resource_types[resource.resource_type]
        try:
            resource_type.delete(self.session.cloud, resource)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in resource_type.dependency_codes:
                self.rejected[resource.id] = error
                return False
            if code not in resource_type.not_found_codes:
                raise
            return not is_new(self.session, resource)
        return True

    def _note(self, others: Collection[str]) -> None:
        known = [resource for resource in self.known.live if self._can_be_seen(resource)]
        gone = {*self.deleted, *self.went_along, *(resource.id for resource in known)} - set(others)
        resolved = [intent.id for intent in self._intents()]
        found = [as_annotation(resource) for resource in self.stays.values()]
        # Even if nothing was left: its records can be archived once AWS was asked.
        if gone or resolved or self.session.records.state(self.name).seen:
            self.session.recorder.annotate(
                **{DELETED: sorted(gone), RESOLVED: resolved, **({DISCOVERED: found} if found else {})}
            )

    def _in_vain(self, left: list[Resource]) -> str:
        named = "; ".join(f"{resource}: {self.reported.get(resource.id) or self._why(resource)}" for resource in left)
        return f"{self.name}: still there after {PATIENCE // 60} minutes: {named}; run the command again"


def delete_experiment(
    session: Session, experiment: str, emit: Emit, known: ResourceState | None = None,
    unseen: Mapping[str, Exception] | None = None,
) -> Deletion:  # fmt: skip
    """Delete what an experiment owns, but nothing in `unseen` regions. Raises an error when anything is left."""
    held, shut = known or session.records.state(experiment), unseen or {}

    def find_remaining() -> Responses[list[Resource]]:
        responses = seen_alive(session, experiment, held)
        hidden = {key: shut[key[0]] for key in [*responses.found, *responses.failures] if key[0] in shut}
        seen = {key: some for key, some in responses.found.items() if key not in hidden}
        return Responses(seen, {**responses.failures, **hidden})

    removal = Deletion(session, experiment, emit, held, find_remaining)
    with working(f"{experiment}: waiting until AWS shows nothing left"):
        removal.run()
    return removal


def delete_resources(session: Session, name: str, going: Sequence[Resource], emit: Emit) -> Deletion:
    """Delete described resources, but those with another call's tag by now. Raises as a teardown does."""
    records = {resource.id: resource.record for resource in going}
    known = ResourceState(live=list(going), calls={str(record): Call(str(record)) for record in records.values()})

    def find_remaining() -> Responses[list[Resource]]:
        responses = seen_by_id(session, going)
        same = {key: [one for one in some if one.record == records[one.id]] for key, some in responses.found.items()}
        return Responses(same, responses.failures)

    removal = Deletion(session, name, emit, known, find_remaining)
    with working("waiting until AWS shows nothing left"):
        removal.run()
    return removal
