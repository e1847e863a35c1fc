"""Deletes orphans, or imports them into the registry, depending on their owner."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from ec2lab.audit.audit import DELETABLE, OF_EXPERIMENTS, SNAPSHOT, Finding, Verdict
from ec2lab.context import working_on
from ec2lab.errors import UserError
from ec2lab.events import Emit
from ec2lab.instance_state import UP, InstanceState
from ec2lab.instances.deletion import delete_resources
from ec2lab.registry.ownership import INVALID_TAG_CHARS
from ec2lab.registry.record import person
from ec2lab.registry.recorder import Recorder
from ec2lab.registry.state import DELETED, DISCOVERED, as_annotation
from ec2lab.resource import Resource
from ec2lab.session import Session

ALL_OWNERS = "everyone"
INSTANCE, VOLUME = "instance", "volume"
SHORTEST = 8  # digits of a registry's id that are enough to name it
ELSEWHERE = {  # what an audit does not delete, and which command does
    Verdict.NOT_TERMINATED: "an experiment's: `make teardown` deletes it",
    Verdict.STALE_RECORD: "not in AWS: `make audit FIX=1` removes it from the registry",
    Verdict.UNMANAGED: "not the lab's: its owner must delete it, in the AWS console",
    Verdict.RETENTION_EXPIRED: "a retained volume: `make volume-delete` deletes it",
    Verdict.RETAINED: "a retained volume: `make volume-delete` deletes it",
}


def parse_owner(named: str) -> str:
    """Return whose orphans are meant: the caller's own unless OWNER names another. Raises UserError."""
    if named and named != ALL_OWNERS and "@" not in named:
        raise UserError(
            f"OWNER: {named!r} is not a user; use OWNER=user@host as `make audit` shows it, or OWNER={ALL_OWNERS}"
        )
    return named or re.sub(INVALID_TAG_CHARS, "_", person())


def sorted_out(found: Iterable[Finding], whose: str, caller: str | None) -> tuple[list[Finding], list[Finding]]:
    """Return the orphans to delete, and those left alone with reasons.

    `caller` is CloudTrail's name for the caller, empty where that is unknown; None where others' are meant.
    """
    orphans = _with_holders_makers([finding for finding in found if finding.verdict is Verdict.ORPHAN])
    judged = [replace(f, spared=f.spared or _why_spared(f, whose, caller)) for f in orphans]
    stays = [finding.resource for finding in judged if finding.spared and finding.resource.resource_type == INSTANCE]
    judged = [replace(f, spared=f.spared or _held(f.resource, f.attached, stays)) for f in judged]
    return [finding for finding in judged if not finding.spared], [finding for finding in judged if finding.spared]


def _held(resource: Resource, attached: Sequence[str], stays: Iterable[Resource]) -> str:
    """Return the remaining instance that uses something: AWS would not delete it."""
    lock_owners = [
        one.id
        for one in stays
        if one.id in attached
        or (resource.resource_type not in (INSTANCE, VOLUME) and one.experiment == resource.experiment)
    ]
    return f"used by {', '.join(lock_owners)}" if lock_owners else ""


def _with_holders_makers(found: Sequence[Finding]) -> list[Finding]:
    """Set the creator of what came with an instance to the instance's: CloudTrail knows only its launch."""
    makers = {finding.resource.id: finding.owner for finding in found}
    return [replace(f, owner=f.owner or next((makers[one] for one in f.attached if one in makers), "")) for f in found]


def _why_spared(finding: Finding, whose: str, caller: str | None) -> str:
    """Return why an orphan is not simply deleted.

    Only its tags say that it is one, and whoever may tag could have written them: valuable resources are deleted only
    if CloudTrail agrees.
    """
    by_name = f"ONLY={finding.resource.id} selects it"
    if whose not in (ALL_OWNERS, finding.by):
        return f"made by {finding.by}: OWNER={finding.by} selects it"
    if caller is not None and finding.owner and finding.owner != caller:
        return f"made by {finding.owner}, according to CloudTrail: {by_name}"
    if caller is not None and not finding.owner and finding.resource.resource_type in (*OF_EXPERIMENTS, SNAPSHOT):
        return f"CloudTrail does not show who created it: {by_name}"
    return f"it runs: {by_name}" if finding.resource.state in (*UP, InstanceState.STOPPING) else ""


def named(found: Iterable[Finding], ids: str) -> list[Finding]:
    """Return what ONLY names among the findings, whoever created it. Raises UserError where that is not possible."""
    by_id = {finding.resource.id: finding for finding in found}
    wanted = dict.fromkeys(ids.split())
    for identity in wanted:
        if identity not in by_id:
            raise UserError(f"ONLY: {identity!r} is not the id of a finding (`make audit` shows them)")
        finding = by_id[identity]
        if finding.verdict not in DELETABLE:
            raise UserError(f"ONLY: {identity} is {ELSEWHERE[finding.verdict]}")
        if lock_owners := set(finding.attached) - wanted.keys():
            raise UserError(f"ONLY: {identity} is attached to {', '.join(sorted(lock_owners))}; name that too")
    return [by_id[identity] for identity in wanted]


def delete_orphans(session: Session, found: Sequence[Finding], emit: Emit) -> list[str]:
    """Delete orphans until AWS shows none of them, and return their ids. Raises as a teardown does."""
    removal = delete_resources(session, "orphans", [finding.resource for finding in found], emit)
    return [*removal.deleted, *removal.went_along]


def forget(recorder: Recorder, stale: Sequence[Finding]) -> None:
    """Mark resources that AWS no longer knows as deleted in the registry."""
    if stale:
        recorder.annotate(**{DELETED: [finding.resource.id for finding in stale]})


def of_registry(found: Iterable[Finding], identity: str) -> list[Finding]:
    """Return what a lost registry created, by a prefix of its id: nothing else says that it was ours.

    Raises UserError where there is no such registry, or more than one.
    """
    meant = [f for f in found if f.verdict is Verdict.ANOTHERS and f.registry.startswith(identity)]
    ids = {finding.registry for finding in meant}
    if len(identity) < SHORTEST or len(ids) != 1:
        raise UserError(f"ONLY: {identity!r} is the id of {len(ids)} registries here; `make audit` shows them")
    return meant


def import_orphans(session: Session, found: Sequence[Finding]) -> None:
    def experiment_of(resource: Resource) -> str:
        return resource.experiment or ""

    session.registry.answer_for(sorted({finding.registry for finding in found}))
    resources = sorted((finding.resource for finding in found), key=experiment_of)
    for experiment, group in groupby(resources, key=experiment_of):
        with working_on(experiment or None):
            session.recorder.annotate(**{DISCOVERED: [as_annotation(resource) for resource in group]})
