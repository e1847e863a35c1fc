"""Valid values of the lab's own tags. Anybody who may tag can write anything into them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from ec2lab.deletion_policy import DeletionPolicy, Disposition
from ec2lab.units import duration
from ec2lab.validators import NAME

NEVER = "never"


@dataclass(frozen=True, slots=True)
class Form:
    """What the value of a tag must be."""

    what: str
    is_met: Callable[[str], bool]
    absent: bool = False
    """Whether a tag with an invalid value counts as absent. Tags that protect a resource must not."""


@dataclass(frozen=True, slots=True)
class MalformedTag:
    """A tag of the lab with a value that the lab does not write."""

    key: str
    value: str
    what: str  # what its value should be

    def __str__(self) -> str:
        return f"{self.key} = {self.value!r} is not {self.what}"


def _matches(pattern: str) -> Callable[[str], bool]:
    return lambda value: re.fullmatch(pattern, value) is not None


def _bears(read: Callable[[str], object]) -> Callable[[str], bool]:
    def is_read(value: str) -> bool:
        try:
            read(value)
        except ValueError:
            return False
        return True

    return is_read


def _is_moment(value: str) -> bool:
    """Return whether a text is an RFC 3339 time with an offset, in a year that can be calculated with."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return False
    return moment.tzinfo is not None and 2000 <= moment.year < 2200  # noqa: PLR2004


_is_length, _is_day = _bears(duration), _bears(date.fromisoformat)
SAVED = "saved"  # on a snapshot: created at a teardown, of a file system that was no longer written to


def _is_disposition(value: str) -> bool:
    return value == SAVED or _bears(Disposition.parse)(value)


FORMS: Mapping[str, Form] = {
    "lab:experiment": Form("an experiment's name", _matches(r"[a-z0-9][a-z0-9_-]{0,127}"), absent=True),
    "lab:expires-at": Form(
        'a time (RFC 3339) or "never"', lambda value: value == NEVER or _is_moment(value), absent=True
    ),
    "lab:ttl": Form('a length ("6h")', _is_length, absent=True),
    "lab:idle": Form('a length ("30m")', _is_length, absent=True),
    "lab:created-at": Form("a time (RFC 3339)", _is_moment, absent=True),
    "lab:retained": Form(
        'a day, and whose volume it was ("2026-11-24 after speech")', lambda value: _is_day(value[:10])
    ),
    "lab:retain-until": Form("a day", _is_day),
    "lab:deletion-policy": Form('"retain" or "snapshot" and a dataset', _is_disposition),
    "lab:dataset": Form("a dataset's name", _matches(NAME)),
    "lab:bytes": Form("a number", _matches(r"[0-9]{1,20}"), absent=True),
    "lab:parent": Form("a snapshot's id", _matches(r"snap-[0-9a-f]{8,32}"), absent=True),
    "lab:uuid": Form("a file system's UUID", _matches(r"[0-9A-Fa-f-]{4,36}"), absent=True),
    "lab:layout": Form("what a file system lies on, where that is no disk", _matches("parts"), absent=True),
    "lab:filesystem": Form("a file system's type", _matches(r"[a-z0-9]{1,16}"), absent=True),
    "lab:instance": Form("an instance's id", _matches(r"i-[0-9a-z]+")),
}


def form_of(key: str) -> Form | None:
    """Return the form of a tag's value. lab:deletion-policy:sdf (or lab:deletion-policy/dev/sdf) is for one device."""
    return FORMS.get(":".join(key.partition("/")[0].split(":")[:2]))


def is_absent(key: str, value: str) -> bool:
    """Return whether a tag counts as absent because its value is invalid."""
    form = form_of(key) if key.startswith("lab:") else None
    return form is not None and form.absent and not form.is_met(value)


def malformed(tags: Iterable[Mapping[str, str]] | None) -> list[MalformedTag]:
    """Return the lab's tags in AWS's list whose values the lab does not write."""
    named = [(tag.get("Key", ""), tag.get("Value", "")) for tag in tags or ()]
    forms = [(key, value, form) for key, value in named if (form := form_of(key))]
    return [MalformedTag(key, value, form.what) for key, value, form in forms if not form.is_met(value)]


def disposition_in(value: str) -> Disposition:
    """Return the disposition in a lab:deletion-policy tag; an invalid one means that the volume is retained.

    A retained volume costs money; a deleted one is lost.
    """
    try:
        return Disposition.parse(value)
    except ValueError:
        return Disposition(DeletionPolicy.RETAIN)
