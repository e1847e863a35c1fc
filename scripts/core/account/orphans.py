"""Orphans, deleted or taken into the registry: whose they are decides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from scripts.core.account.audit import Finding
from scripts.core.aws.tagging import REFUSED
from scripts.core.current_experiment import working_on
from scripts.core.errors import LabError
from scripts.core.kind import Resource
from scripts.core.machines.removal import Report, remove_these
from scripts.core.registry.record import person
from scripts.core.registry.resources import FOUND, GONE, as_note
from scripts.core.session import Session

EVERYONE = "everyone"


def of_whom(named: str) -> str:
    """Return whose orphans are meant: the caller's own unless OF names another. Raises LabError."""
    if named and named != EVERYONE and "@" not in named:
        raise LabError(f"OF: {named!r} is nobody; say OF=user@host as `make audit` shows it, or OF={EVERYONE}")
    return named or re.sub(REFUSED, "_", person())


def meant(found: Iterable[Finding], whose: str) -> list[Finding]:
    """Return the findings that are somebody's own; what says of nobody whose it is counts as everyone's."""
    return [f for f in found if whose in (EVERYONE, f.by) or not f.by]


def delete_orphans(session: Session, found: Sequence[Finding], report: Report) -> list[str]:
    """Delete orphans until AWS shows none of them any more, and return their ids. Raises as a teardown does."""
    removal = remove_these(session, "orphans", [finding.resource for finding in found], report)
    return [*removal.deleted, *removal.went_along]


def forget(session: Session, ghosts: Sequence[Finding]) -> None:
    """Strike out of the registry what AWS does not know any more."""
    if ghosts:
        session.recorder.note(**{GONE: [ghost.resource.id for ghost in ghosts]})


def take_in(session: Session, found: Sequence[Finding]) -> None:
    """Write orphans into the registry as things that were found, each under its experiment."""

    def experiment_of(resource: Resource) -> str:
        return resource.experiment or ""

    resources = sorted((finding.resource for finding in found), key=experiment_of)
    for experiment, group in groupby(resources, key=experiment_of):
        with working_on(experiment or None):
            session.recorder.note(**{FOUND: [as_note(resource) for resource in group]})
