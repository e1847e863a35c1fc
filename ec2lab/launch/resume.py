"""Resumes an interrupted launch: which instances are adopted, and which request is sent again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ec2lab.aws.cloud import Cloud
from ec2lab.aws.errors import RegionUnavailable
from ec2lab.errors import UserError
from ec2lab.instance_state import DOWN
from ec2lab.launch.region_specs import RegionSpecs
from ec2lab.launch.run_instances_request import build_request, pool_of
from ec2lab.launch.search import PlacementPreferences
from ec2lab.registry.account_records import AccountRecords
from ec2lab.registry.evidence import token_of
from ec2lab.registry.history import History
from ec2lab.registry.record import Record
from ec2lab.registry.redaction import redact
from ec2lab.resource import Resource
from ec2lab.resources.live_in_aws import find_live_resources
from ec2lab.resources.reconcile import AskAgain, reconcile
from ec2lab.session import Session


class AlreadyRunning(UserError):
    """The experiment is already live."""


def instances_of_interrupted_launch(
    session: Session, experiment: str, ask_again: AskAgain | None = None
) -> list[Resource]:
    """Return the instances of an interrupted launch; an empty list if there are none.

    Instances whose response was lost are found with `ask_again`, or by their tag. Raises UserError if the experiment is
    live because its launch succeeded.
    """
    found = reconcile(session, experiment, ask_again)
    if found and not _is_interrupted(session, experiment):
        raise AlreadyRunning(_live_text(experiment, found))
    resource_type = session.resource_types["instance"]
    return [
        resource
        for resource in found
        if resource.resource_type == resource_type.name and not resource_type.is_deleting(resource)
    ]


def expect_not_live(session: Session, experiment: str) -> None:
    """Raise AlreadyRunning if an experiment is live because its launch succeeded, before anything is reported."""
    if not _is_interrupted(session, experiment):
        instances_of_interrupted_launch(session, experiment)


def already_live(session: Session, experiment: str) -> str:
    """Return what of an experiment is live because its launch succeeded, recording nothing; empty if nothing is."""
    known = session.records.state(experiment)
    if not known.live or _is_interrupted(session, experiment):
        return ""
    found = find_live_resources(session, experiment, known)
    return _live_text(experiment, found) if found else ""


def _is_interrupted(session: Session, experiment: str) -> bool:
    return History(session.records.current(experiment)).of(experiment).interrupted


def _live_text(experiment: str, found: Sequence[Resource]) -> str:
    named = [resource for resource in found if resource.resource_type == "instance"] or found
    parts = ((str(r), r.shown_state, r.since and f"since {r.since}") for r in named)
    shown = ", ".join(" ".join(filter(None, words)) for words in parts)
    return f"{experiment} is already live: {shown}; {_hint(found, experiment)}"


def _hint(found: Sequence[Resource], experiment: str) -> str:
    stopped = any(resource.state in DOWN for resource in found)
    return (
        f"{f'`make start EXP={experiment}` starts it, ' if stopped else ''}`make teardown EXP={experiment}` deletes it"
    )


def requests_of(
    records: AccountRecords, experiment: str, instances: Sequence[Resource]
) -> dict[str, Mapping[str, Any]]:
    intents = History(records.current(experiment)).requests
    return {m.id: intents[m.record].request or {} for m in instances if m.record and m.record in intents}


def is_wanted(intent: Record, preferences: PlacementPreferences, missing: int) -> bool:
    """Return whether the experiment, as it is now, would still make an intent's request."""
    recorded, region = intent.request or {}, str(intent.region)
    pool = pool_of(recorded, region)
    placed = (
        region in preferences.regions
        and pool.instance_type in preferences.instance_types
        and pool.market in preferences.markets
    )
    return placed and {"MinCount", "MaxCount"}.issubset(recorded) and 0 < recorded["MaxCount"] <= missing


def same_request(cloud: Cloud, specs: RegionSpecs, intent: Record) -> dict[str, Any] | None:
    """Build an intent's request again, as its record has only a digest of the user data; None if it differs."""
    recorded, region = intent.request or {}, str(intent.region)
    try:
        spec, pool = specs.ready(region), pool_of(recorded, region)
        request = build_request(spec, pool, recorded["MaxCount"], recorded["MinCount"])
    except RegionUnavailable:
        return None
    request["TagSpecifications"] = recorded.get("TagSpecifications", [])
    shape = cloud.ec2(region).meta.service_model.operation_model("RunInstances").input_shape
    same = redact({**request, "ClientToken": token_of(intent)}, shape) == recorded
    return request if same else None
