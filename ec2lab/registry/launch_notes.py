"""What the registry's annotations tell of launches: what was to be run, whether it came to run, and from what. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ec2lab.registry.record import Event, Record

RUN = "run"
"""The annotation by which a launch says what it is about to run."""
LAUNCHED = "launched"
"""The annotation by which a launch says that it ended well, with these machines."""

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
