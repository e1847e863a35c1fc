"""Retained volumes: since when, until when and why, in their tags; after that day `make audit` reports them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from ec2lab import clock
from ec2lab.aws.region_queries import Key, Responses
from ec2lab.aws.tags import RETAIN_REASON, RETAIN_UNTIL, RETAINED, from_aws, to_aws
from ec2lab.config.fields import REASON
from ec2lab.config.volume import LONGEST
from ec2lab.costs.money import Dollars
from ec2lab.costs.pricing import pricing
from ec2lab.deletion_policy import Disposition
from ec2lab.errors import UserError
from ec2lab.events import Event
from ec2lab.events.teardown import RetainedVolume as Retained
from ec2lab.registry.history import History
from ec2lab.registry.ownership import Marks
from ec2lab.resource import Resource
from ec2lab.resources.live_in_aws import known_regions
from ec2lab.secret_detection import secret_in
from ec2lab.session import Session
from ec2lab.units import duration_in
from ec2lab.volumes.mount_source import described

DEFAULT_RETENTION = timedelta(days=30)  # the default retention; earlier versions of the lab wrote no day
NO_REASON = "no reason given"


@dataclass(frozen=True, slots=True)
class Retention:
    """The retention in a volume's tags."""

    since: date | None
    after: str  # the experiment whose teardown retained it
    until: date | None
    """The last day before it is reported; None where the tags are unreadable, which is reported as well."""
    reason: str

    @classmethod
    def read(cls, tags: Mapping[str, str]) -> Retention:
        """Parse the tags of a volume with `lab:retained`: "2026-11-24 after speech"."""
        day, _, after = tags[RETAINED].partition(" after ")
        since, until = _day(day), _day(tags.get(RETAIN_UNTIL, ""))
        if RETAIN_UNTIL not in tags and since:
            until = since + DEFAULT_RETENTION
        return cls(since, after, until, tags.get(RETAIN_REASON) or NO_REASON)

    @property
    def has_reason(self) -> bool:
        return self.reason != NO_REASON

    def is_over(self, today: date) -> bool:
        """Say whether its retention has ended."""
        return self.until is None or today > self.until

    def __str__(self) -> str:
        since = f"since {self.since}" if self.since else "nobody knows since when"
        until = f"until {self.until}" if self.until else "until an unknown day"
        return f"{until}: {self.reason} ({since}{f', after {self.after}' if self.after else ''})"


def marks(end: Disposition, experiment: str, today: date) -> dict[str, str]:
    return {
        RETAINED: f"{today} after {experiment}",
        RETAIN_UNTIL: str(today + (DEFAULT_RETENTION if end.retain_for is None else end.retain_for)),
        **({RETAIN_REASON: end.reason} if end.reason else {}),
    }


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:  # a tag written by hand
        return None


@dataclass(frozen=True, slots=True)
class RetainedVolume:
    """A volume that a teardown retained."""

    resource: Resource
    retention: Retention
    dollars_per_month: Dollars = None


def get_retained_volume(session: Session, volume: str) -> RetainedVolume:
    """Return a retained volume. Raises UserError where there is none with that id, or it was not retained."""
    found, region = described(session, volume, known_regions(session))
    tags = from_aws(found.get("Tags"))
    resource = session.resource_types["volume"].resource(found, region, tags)
    if RETAINED not in tags or Marks.read(tags) is None:
        whose = f"it is of {resource.experiment}" if resource.experiment else "it is not the lab's"
        raise UserError(f"VOLUME: {volume} was not retained by a teardown: {whose}, and is left alone")
    return RetainedVolume(resource, Retention.read(tags))


def retain_for(session: Session, volume: RetainedVolume, text: str, reason: str) -> Retention:
    """Retain a volume for a duration from today, with another reason if one is given. Raises UserError."""
    until = clock.now().date() + _length(text)
    if reason and not REASON.fullmatch(reason):
        raise UserError(f"REASON: {reason[:40]!r} is not one line of at most 120 characters")
    if resource_type := secret_in(reason):
        raise UserError(f"REASON: holds {resource_type}, and everybody in the account can read tags; leave it out")
    if not reason and not volume.retention.has_reason:
        raise UserError(f"REASON: why is {volume.resource.id} kept? (REASON='until the paper is out')")
    tags = {RETAIN_UNTIL: str(until), **({RETAIN_REASON: reason} if reason else {})}
    ec2 = session.cloud.ec2(volume.resource.region)
    ec2.create_tags(Resources=[volume.resource.id], Tags=to_aws(tags))  # type: ignore[arg-type]
    return get_retained_volume(session, volume.resource.id).retention


def _length(text: str) -> timedelta:
    if not text:
        raise UserError("RETAIN_FOR: for how long from today? (RETAIN_FOR=30d)")
    length = duration_in("RETAIN_FOR", text)
    if length > LONGEST:
        raise UserError(f"RETAIN_FOR: {text} is too long (at most 3650d)")
    return length


def retained_volumes(session: Session, history: History, pattern: str = "*") -> Responses[list[RetainedVolume]]:
    """Describe the volumes that teardowns of matching experiments retained and nobody has deleted since.

    AWS is not asked where none is on record.
    """
    resource_type, ids = session.resource_types["volume"], dict[Key, list[str]]()
    for one in history.volumes(clock.now()):
        there = one.retained and one.ended is None and fnmatchcase(one.experiment or "", pattern)
        if there and one.whose == session.cloud.account:
            ids.setdefault((one.region, resource_type.name), []).append(one.id)
    responses = session.queries.run(
        {key: partial(resource_type.by_id, session.cloud, key[0], some) for key, some in ids.items()}
    )
    found = {key: [_retained(session, volume, key[0]) for volume in some] for key, some in responses.found.items()}
    return Responses(found, responses.failures)


def _retained(session: Session, found: Mapping[str, Any], region: str) -> RetainedVolume:
    resource_type, tags = session.resource_types["volume"], {RETAINED: "", **from_aws(found.get("Tags"))}
    price = pricing(session).monthly(resource_type.name, found, region)
    return RetainedVolume(resource_type.resource(found, region, tags), Retention.read(tags), price)


def retained_events(found: Responses[list[RetainedVolume]]) -> list[Event]:
    volumes = [volume for some in found.found.values() for volume in some]
    return [
        Retained.of(
            one.resource, size=one.resource.details.get("size", ""), dollars_per_month=one.dollars_per_month,
            retention=str(one.retention),
        )
        for one in volumes
    ]  # fmt: skip
