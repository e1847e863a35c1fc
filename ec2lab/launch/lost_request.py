"""A RunInstances request whose response was lost: made again as it was, so that it can be sent again."""

from __future__ import annotations

from typing import Any

from ec2lab.launch.part import RegionUnavailable
from ec2lab.launch.region_specs import RegionSpecs
from ec2lab.launch.request import build_request, pool_of
from ec2lab.launch.search import PlacementPreferences
from ec2lab.registry.evidence import token_of
from ec2lab.registry.record import Record
from ec2lab.registry.redaction import redact
from ec2lab.session import Session


def is_wanted(intent: Record, wishes: PlacementPreferences, missing: int) -> bool:
    """Say whether an experiment, as it is now, would ask for what an intent asked for."""
    recorded, region = intent.request or {}, str(intent.region)
    pool = pool_of(recorded, region)
    placed = region in wishes.regions and pool.instance_type in wishes.types and pool.market in wishes.markets
    return placed and 0 < recorded.get("MaxCount", 0) <= missing


def same_request(session: Session, shares: RegionSpecs, intent: Record) -> dict[str, Any] | None:
    """Return the request of an intent, if the experiment as it is now asks for the same; None else.

    The record holds user data by its digest alone, so it is made again.
    """
    recorded, region = intent.request or {}, str(intent.region)
    try:
        request = build_request(
            shares.ready(region), pool_of(recorded, region), recorded["MaxCount"], recorded.get("MinCount", 0)
        )
    except RegionUnavailable:
        return None
    request["TagSpecifications"] = recorded.get("TagSpecifications", [])
    shape = session.cloud.ec2(region).meta.service_model.operation_model("RunInstances").input_shape
    same = redact({**request, "ClientToken": token_of(intent)}, shape) == recorded
    return request if same else None
