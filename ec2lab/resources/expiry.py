"""When an instance expires, by what AWS knows; the instance follows the same rule. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from ec2lab.aws.tag_forms import NEVER
from ec2lab.aws.tags import EXPIRES_AT, IDLE, TTL, from_aws
from ec2lab.instance_state import DOWN, OVER, Instance, InstanceState
from ec2lab.units import duration

LATE = timedelta(minutes=3)
"""An instance counts from its first boot, AWS from its launch; a minute is long for the time in between."""


def expiry_details(instance: Instance) -> dict[str, str]:
    """Return, for people, when a described instance expires, and its idle limit."""
    tags = from_aws(instance.get("Tags"))
    ends, given = expires_at(instance), {"idle": tags.get(IDLE, ""), "ttl": tags.get(TTL, "")}
    moment = as_text(ends) if ends else NEVER if tags.get(EXPIRES_AT) == NEVER else ""
    return {key: value for key, value in {"ends": moment, **given}.items() if value}


def expires_at(instance: Instance) -> datetime | None:
    """Return when a described instance expires; None where it does not, or that cannot be known."""
    tags, started = from_aws(instance.get("Tags")), _moment(instance.get("LaunchTime"))
    length, said = _length(tags.get(TTL)), tags.get(EXPIRES_AT)
    if started is None or said == NEVER:
        return None
    by_length = _first_launch(instance, started) + length if length else None
    deadline = _moment(said) if said else by_length
    # A deadline that passed while stopped is set again: see ec2lab/instances/ttl.py.
    return started + length if deadline and length and deadline <= started else deadline


def restarted_expiry(instance: Instance) -> datetime | None:
    """Return the expiry of an instance whose time began again at its last start, where no tag has it yet; else None.

    Another start would remove the trace of this one, so whoever starts it records the expiry.
    """
    tags, started, end = from_aws(instance.get("Tags")), _moment(instance.get("LaunchTime")), expires_at(instance)
    length = _length(tags.get(TTL))
    if started is None or length is None or end is None or started == _first_launch(instance, started):
        return None
    return end if end == started + length and as_text(end) != tags.get(EXPIRES_AT) else None


def left(details: Mapping[str, str], state: str, now: datetime) -> str:
    """Describe an instance's remaining time, from `expiry_details` and AWS's state."""
    if state in OVER:
        return ""
    said = [_until(details, state, now)]
    said += [f"idle {details['idle']}"] if "idle" in details else []
    return " or ".join(filter(None, said))


def is_overdue(details: Mapping[str, str], state: str, now: datetime) -> bool:
    """Say whether an instance runs past its expiry, so that its own timer must have failed."""
    ends = _moment(details.get("ends"))
    return state == InstanceState.RUNNING and ends is not None and now - ends > LATE


def _until(details: Mapping[str, str], state: str, now: datetime) -> str:
    ends = _moment(details.get("ends"))
    if ends is None:
        return "no end" if details.get("ends") == NEVER and "idle" not in details else ""
    if state in DOWN:
        return f"{_in_words(ends - now)} if started" if ends > now else f"{details.get('ttl', '?')} once started"
    if is_overdue(details, state, now):
        return f"overdue by {_in_words(now - ends)}"
    return _in_words(ends - now) if ends > now else "ends now"


def _in_words(length: timedelta) -> str:
    minutes = int(length.total_seconds() // 60)
    days, hours = minutes // 1440, minutes // 60
    if hours >= 48:  # noqa: PLR2004
        return f"{days}d{hours - days * 24}h"
    return f"{hours}h{minutes - hours * 60:02}m" if hours else f"{minutes}m"


def _first_launch(instance: Instance, started: datetime) -> datetime:
    """Return when an instance was first launched.

    LaunchTime is that of its last start, but its root volume and its network interface stay attached
    (https://repost.aws/knowledge-center/ec2-instance-launch-date-time).
    """
    attached = [mapping.get("Ebs", {}).get("AttachTime") for mapping in instance.get("BlockDeviceMappings", ())]
    attached += [face.get("Attachment", {}).get("AttachTime") for face in instance.get("NetworkInterfaces", ())]
    return min([started, *filter(None, map(_moment, attached))])


def _length(text: str | None) -> timedelta | None:
    try:
        return duration(text) or None
    except ValueError:  # a tag written by hand
        return None


def _moment(text: datetime | str | None) -> datetime | None:
    """Parse a time of AWS's, of a record or of a tag; None where it is invalid."""
    if isinstance(text, str):
        try:
            text = datetime.fromisoformat(text)
        except ValueError:
            return None
    return text.replace(tzinfo=text.tzinfo or UTC) if text else None


def as_text(moment: datetime) -> str:
    """Format a time as in tags and JSON: RFC 3339, UTC, seconds."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
