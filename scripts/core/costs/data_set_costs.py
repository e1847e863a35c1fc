"""What data sets cost while no one uses them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from botocore.exceptions import ClientError

from scripts.core.aws.cloud import Cloud
from scripts.core.costs.dollars import Dollars
from scripts.core.data.data_sets import DataSnapshot
from scripts.core.data.sizes import GIB
from scripts.core.session import Session

FAST_RESTORE_OFF = ("disabled", "disabling")


@dataclass(frozen=True, slots=True)
class Costed:
    """A snapshot, what it costs at most, and where fast restore is on."""

    snapshot: DataSnapshot
    dollars: Dollars
    """A month."""
    fast_restore: str
    """The zones in which it is on, with the state where that is not `enabled`; empty where in none."""


def costed(session: Session, snapshots: Sequence[DataSnapshot]) -> list[Costed]:
    """Look prices and fast restore up, for all regions at the same time."""
    regions = {snapshot.region for snapshot in snapshots}
    ids = {r: [s.id for s in snapshots if s.region == r] for r in regions}
    restores = {r: session.threads.submit(_fast_restores, session.cloud, r, ids[r]) for r in regions}
    return [
        Costed(s, session.prices.stored(s.region, s.size / GIB), restores[s.region].result().get(s.id, ""))
        for s in snapshots
    ]


def _fast_restores(cloud: Cloud, region: str, snapshots: Iterable[str]) -> dict[str, str]:
    """Return the zones in which fast restore is on, by snapshot; "?" where it may not be asked."""
    wanted = set(snapshots)
    zones: dict[str, list[str]] = {}
    try:
        # Not by snapshot: a filter takes 200 values, and an account has few of these.
        for page in cloud.ec2(region).get_paginator("describe_fast_snapshot_restores").paginate():
            for found in page["FastSnapshotRestores"]:
                if found["SnapshotId"] in wanted and (state := found["State"]) not in FAST_RESTORE_OFF:
                    zone = found["AvailabilityZone"] + ("" if state == "enabled" else f" ({state})")
                    zones.setdefault(found["SnapshotId"], []).append(zone)
    except ClientError:
        return dict.fromkeys(wanted, "?")  # not allowed: a listing is worth having without it
    return {snapshot: ", ".join(sorted(there)) for snapshot, there in zones.items()}
