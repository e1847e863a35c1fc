"""DescribeVolumeStatus, which moto lacks: how much of a volume is loaded from its snapshot."""

from __future__ import annotations

from typing import Any

from local_cloud import clock
from local_cloud.lifecycle import backend
from local_cloud.request import Call
from local_cloud.responses import Answer, Problem
from local_cloud.scenario import Scenario


def describe_volume_status(call: Call, scenario: Scenario) -> Answer:
    """Answer for the named volumes, or for all."""
    volumes = backend(call.region).volumes
    named = call.values("VolumeId")
    if unknown := [identity for identity in named if identity not in volumes]:
        raise Problem("InvalidVolume.NotFound", f"The volume '{unknown[0]}' does not exist.")
    items = "".join(_item(volumes[identity], scenario) for identity in named or volumes)
    body = (
        '<DescribeVolumeStatusResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>local</requestId>'
        f"<volumeStatusSet>{items}</volumeStatusSet></DescribeVolumeStatusResponse>"
    )
    return Answer(200, body.encode())


def _item(volume: Any, scenario: Scenario) -> str:
    loading = ""
    if volume.snapshot_id:
        age = (clock.now().replace(tzinfo=None) - volume.create_time).total_seconds()
        share = min(1.0, age / scenario.initialization_seconds) if scenario.initialization_seconds else 1.0
        loading = (
            "<initializationStatusDetails><initializationType>default</initializationType>"
            f"<progress>{int(share * 100)}</progress></initializationStatusDetails>"
        )
    return (
        f"<item><volumeId>{volume.id}</volumeId><availabilityZone>{volume.zone.name}</availabilityZone>"
        f"<volumeStatus><status>ok</status></volumeStatus>{loading}</item>"
    )
