"""The annotations that a launch writes into the registry: what was to be run, whether it came to run, and from what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RUN = "run"
"""The annotation by which a launch says what it is about to run."""
LAUNCHED = "launched"
"""The annotation by which a launch says that it ended well, with these instances."""
PROVENANCE = "provenance"
"""Beside it: what each instance was made from."""
FAILED = "failed"
"""The annotation by which a launch says why it failed, or was refused before AWS was asked for anything."""
EXITED = "exited"
"""The annotation by which the lab says how an experiment's command ended: `exit_code`."""
PULLS = "pulls"
"""The annotation by which `make dataset-build` says from where the next launch pulls."""


def origin(region: str, instance: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an instance was made from: its region, type and image, and the snapshot of each device that had
    one.
    """  # noqa: D205
    return {
        "instance": instance["InstanceId"],
        "region": region,
        "type": instance["InstanceType"],
        "image": instance["ImageId"],
        "snapshots": {
            mapping["DeviceName"]: mapping["Ebs"]["SnapshotId"]
            for mapping in request.get("BlockDeviceMappings", ())
            if "SnapshotId" in mapping.get("Ebs", {})
        },
    }
