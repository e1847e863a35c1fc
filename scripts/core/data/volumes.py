"""Volumes as AWS describes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from scripts.core.aws.region_queries import not_seen
from scripts.core.data.mounted_volume import MountedVolume
from scripts.core.errors import LabError
from scripts.core.registry.resources import holdings
from scripts.core.session import Session

Description = Mapping[str, Any]


def regions_of_interest(session: Session) -> list[str]:
    """Return the regions where the lab may have something: those of lab.toml, and wherever anything was ever made."""
    ever = holdings(session.registry.records(), session.kinds).regions  # in whichever account: to look does no harm
    return list(dict.fromkeys([*session.lab.regions, *sorted(ever)]))


def described(session: Session, volume: str, regions: Iterable[str]) -> tuple[Description, str]:
    """Return a volume's description, and its region. Raises LabError where no region has it, or none that responds."""
    kind, places = session.kinds["volume"], list(regions)
    wanted = [{"Name": "volume-id", "Values": [volume]}]
    responses = session.query(
        {(place, kind.name): partial(kind.whole, session.cloud, place, wanted) for place in places}
    )
    for (region, _), items in responses.found.items():
        for found in items:
            return found, region
    seen = [region for region in places if region not in responses.unseen]
    lacks = f"{volume} is in none of {', '.join(seen)}" if seen else ""
    raise LabError(f"VOLUME: {'; '.join(filter(None, (lacks, *not_seen(responses.unseen))))}")


def region_of(session: Session, volume: MountedVolume) -> str:
    """Return the region of a volume that a host has mounted. Raises LabError where that is not to be found out."""
    if not volume.id:
        raise LabError(f"{volume.mount}: its disk {volume.device} does not tell its volume's id; say VOLUME=vol-…")
    return described(session, volume.id, regions_of_interest(session))[1]
