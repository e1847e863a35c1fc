"""What may be done with a kept volume: kept for longer, or deleted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from scripts.core import clock
from scripts.core.aws.tags import KEPT, KEPT_BECAUSE, KEPT_UNTIL, as_tags, tag_map
from scripts.core.data.kept_volumes import Kept
from scripts.core.data.volumes import described, regions_of_interest
from scripts.core.errors import LabError
from scripts.core.kind import Resource
from scripts.core.lab.values import REASON, duration
from scripts.core.lab.volume_config import LONGEST
from scripts.core.ownership import Marks
from scripts.core.secret_detection import secret_in
from scripts.core.session import Session


@dataclass(frozen=True, slots=True)
class KeptVolume:
    """A volume that was kept at a teardown."""

    resource: Resource
    kept: Kept


def kept_volume(session: Session, volume: str) -> KeptVolume:
    """Return a kept volume. Raises LabError where there is none of that id, or it was not kept."""
    found, region = described(session, volume, regions_of_interest(session))
    tags = tag_map(found.get("Tags"))
    resource = session.kinds["volume"].resource(found, region, tags)
    if KEPT not in tags or Marks.read(tags) is None:
        whose = f"it is of {resource.experiment}" if resource.experiment else "it is not the lab's"
        raise LabError(f"VOLUME: {volume} was not kept at a teardown: {whose}, and stays as it is")
    return KeptVolume(resource, Kept.read(tags))


def keep_for(session: Session, volume: KeptVolume, text: str, reason: str) -> Kept:
    """Keep a volume for a length of time from today, for another reason where one is given. Raises LabError."""
    until = clock.now().date() + _length(text)
    if reason and not REASON.fullmatch(reason):
        raise LabError(f"REASON: {reason[:40]!r} is not one line of at most 120 characters")
    if kind := secret_in(reason):
        raise LabError(f"REASON: holds {kind}, and everybody in the account can read tags; leave it out")
    if not reason and not volume.kept.has_reason:
        raise LabError(f"REASON: why is {volume.resource.id} kept? (REASON='until the paper is out')")
    tags = {KEPT_UNTIL: str(until), **({KEPT_BECAUSE: reason} if reason else {})}
    ec2 = session.cloud.ec2(volume.resource.region)
    ec2.create_tags(Resources=[volume.resource.id], Tags=as_tags(tags))  # type: ignore[arg-type]
    return kept_volume(session, volume.resource.id).kept


def _length(text: str) -> timedelta:
    if not text:
        raise LabError("KEEP_FOR: for how long from today? (KEEP_FOR=30d)")
    try:
        length: timedelta = duration(text)
    except ValueError as problem:
        raise LabError(f"KEEP_FOR: {problem}") from problem
    if length > LONGEST:
        raise LabError(f"KEEP_FOR: {text} is longer than anybody remembers (at most 3650d)")
    return length
