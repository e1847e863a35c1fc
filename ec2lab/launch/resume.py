"""A launch that was cut off is told from one that ended, by the registry alone; what it made is taken up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ec2lab.errors import LabError
from ec2lab.registry.evidence import token_of
from ec2lab.registry.reconcile import AskAgain, reconcile
from ec2lab.registry.record import Event, Record
from ec2lab.resources.base import Resource
from ec2lab.session import Session

RUN = "run"
"""The note by which a launch says what it is about to run."""
LAUNCHED = "launched"
"""The note by which a launch says that it ended well, with these machines."""

RAN_ON = "ran_on"
"""Beside it: what each machine was made from."""


def last_run(records: Iterable[Record], experiment: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return what an experiment's last launch that ended well ran, and its note LAUNCHED; None where there was none.

    One that failed since has said what it would run, and ran nothing.
    """
    wanted: dict[str, Any] | None = None
    found = None
    for record in records:
        if record.experiment == experiment and record.note:
            wanted = record.note.get(RUN, wanted)
            if LAUNCHED in record.note and wanted is not None:
                found = (wanted, record.note)
    return found


class AlreadyRunning(LabError):
    """There is nothing to launch."""


def was_interrupted(records: Iterable[Record], experiment: str) -> bool:
    """Say whether the last launch of an experiment began and never came to its end."""
    cut_off = False
    for record in records:
        if record.experiment == experiment:
            if record.operation == "RunInstances" and record.event is Event.INTENT:
                cut_off = cut_off or not (record.request or {}).get("DryRun")  # a plan launches nothing
            elif record.event is Event.NOTE and record.note:
                # What nodes need for themselves is made before the first machine is asked for.
                cut_off = LAUNCHED not in record.note and (cut_off or RUN in record.note)
    return cut_off


def instances_of_interrupted_launch(
    session: Session, experiment: str, ask_again: AskAgain | None = None
) -> list[Resource]:
    """Return the machines that a launch made before it was cut off; none where nothing lives.

    What it made and did not live to hear of is learned by `ask_again`, or found by its tag. Raises LabError, saying
    where, if the experiment lives because its launch ended well.
    """
    found = reconcile(session, experiment, ask_again)
    if found and not was_interrupted(session.records_here(experiment), experiment):
        named = [resource for resource in found if resource.kind == "instance"] or found
        shown = ", ".join(" ".join(filter(None, (str(r), r.state, r.since and f"since {r.since}"))) for r in named)
        raise AlreadyRunning(f"{experiment} already lives: {shown}; {_hint(found, experiment)}")
    kind = session.kinds["instance"]
    return [resource for resource in found if resource.kind == kind.name and not kind.is_deleting(resource)]


def _hint(found: Sequence[Resource], experiment: str) -> str:
    stopped = any(resource.state.startswith("stop") for resource in found)
    return f"{f'`make start EXP={experiment}` starts it, ' if stopped else ''}`make teardown EXP={experiment}` ends it"


def requests_of(session: Session, experiment: str, machines: Sequence[Resource]) -> dict[str, Mapping[str, Any]]:
    """Return the RunInstances request that each of an experiment's machines was made by, by its id."""
    made_by = {
        token_of(record): record.request or {}
        for record in session.records_here(experiment)
        if record.operation == "RunInstances" and record.event is Event.INTENT
    }
    return {machine.id: made_by[machine.record] for machine in machines if machine.record in made_by}


def origin(region: str, machine: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a machine was made from: its region, type and image, and the snapshot of each device that had one."""
    return {
        "instance": machine["InstanceId"],
        "region": region,
        "type": machine["InstanceType"],
        "image": machine["ImageId"],
        "snapshots": {
            mapping["DeviceName"]: mapping["Ebs"]["SnapshotId"]
            for mapping in request.get("BlockDeviceMappings", ())
            if "SnapshotId" in mapping.get("Ebs", {})
        },
    }
