"""The cost of stored datasets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from ec2lab.aws.cloud import Cloud
from ec2lab.aws.region_queries import Key
from ec2lab.costs.money import Dollars
from ec2lab.costs.pricing import pricing
from ec2lab.datasets.dataset import DataSnapshot
from ec2lab.events import Unavailable
from ec2lab.session import Session

FAST_RESTORE_OFF = ("disabled", "disabling")
FAST_RESTORE, UNKNOWN = "fast restore", "unknown"


@dataclass(frozen=True, slots=True)
class PricedSnapshot:
    """A snapshot with its maximum cost and its fast restore."""

    snapshot: DataSnapshot
    dollars: Dollars  # a month
    fast_restore: str  # the zones with fast restore, with the state if not `enabled`; empty where none, or "unknown"


@dataclass(frozen=True, slots=True)
class CostedSnapshots:
    snapshots: list[PricedSnapshot]
    unknown: Sequence[Unavailable] = ()


def price_snapshots(session: Session, snapshots: Sequence[DataSnapshot]) -> CostedSnapshots:
    """Look up prices and fast restore in all regions in parallel."""
    ids: dict[Key, list[str]] = {}
    for snapshot in snapshots:
        ids.setdefault((snapshot.region, FAST_RESTORE), []).append(snapshot.id)
    restores = session.queries.run(
        {key: partial(_fast_restores, session.cloud, key[0], some) for key, some in ids.items()}
    )
    found = {identity: zones for restored in restores.found.values() for identity, zones in restored.items()}
    unseen, known = restores.unseen, pricing(session)
    priced = [
        PricedSnapshot(
            s,
            known.monthly("snapshot", s.as_described, s.region),
            UNKNOWN if s.region in unseen else found.get(s.id, ""),
        )
        for s in snapshots
    ]
    unknown = [Unavailable(what=FAST_RESTORE, region=region, reason=why) for region, why in unseen.items()]
    return CostedSnapshots(priced, [*unknown, *known.book.unknown()])


def _fast_restores(cloud: Cloud, region: str, snapshots: Iterable[str]) -> dict[str, str]:
    """Return the zones with fast restore, by snapshot."""
    wanted = set(snapshots)
    zones: dict[str, list[str]] = {}
    # Not by snapshot: a filter takes 200 values, and an account has few of these.
    for page in cloud.ec2(region).get_paginator("describe_fast_snapshot_restores").paginate():
        for found in page["FastSnapshotRestores"]:
            if found["SnapshotId"] in wanted and (state := found["State"]) not in FAST_RESTORE_OFF:
                zone = found["AvailabilityZone"] + ("" if state == "enabled" else f" ({state})")
                zones.setdefault(found["SnapshotId"], []).append(zone)
    return {snapshot: ", ".join(sorted(there)) for snapshot, there in zones.items()}
