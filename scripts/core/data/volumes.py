"""Volumes as AWS describes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from scripts.core.aws.region_queries import not_seen
from scripts.core.data.devices import letters_of
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


def identified(session: Session, mounted: MountedVolume, volume: str) -> tuple[MountedVolume, str]:
    """Return what a host has mounted with its volume's id, and the region.

    A disk that tells no id is the volume that the user names, if AWS has that attached under the disk's name. Raises
    LabError.
    """
    identity = mounted.id or volume
    if not identity:
        raise LabError(f"{mounted.mount}: its disk {mounted.device} does not tell its volume's id; say VOLUME=vol-…")
    found, region = described(session, identity, regions_of_interest(session))
    devices = [str(attachment["Device"]) for attachment in found.get("Attachments", ())]
    own = letters_of(mounted.disk)
    if not mounted.id and own and all(letters_of(device) != own for device in devices):
        where = f"attached as {', '.join(devices)}" if devices else "attached nowhere"
        raise LabError(f"VOLUME: {identity} is {where}, and {mounted.mount} is on {mounted.disk}")
    return replace(mounted, id=identity), region
