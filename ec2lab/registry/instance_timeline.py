"""When instances ran, with which volumes and addresses, and how they ended, from the records. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ec2lab.aws.account import Account
from ec2lab.aws.tag_forms import NEVER
from ec2lab.aws.tags import EXPERIMENT, EXPIRES_AT, from_aws, tags_in_request
from ec2lab.instance_state import DOWN, UP, InstanceState, state_reason_of
from ec2lab.registry.record import RUN, Event, Record, parse_time
from ec2lab.registry.sightings import Sightings
from ec2lab.registry.state import DELETED, DISCOVERED
from ec2lab.units import duration

USER_SHUTDOWN = "Client.UserInitiatedShutdown"
"""AWS's code for an instance that a call terminated
(https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html)."""
RAN_THEN_ENDED_CODES = (
    USER_SHUTDOWN, "Client.InstanceInitiatedShutdown", "Server.SpotInstanceTermination", "Server.SpotInstanceShutdown",
)  # fmt: skip
"""StateReason codes of instances that ran before they ended. With any other code, an instance never ran."""
CONSISTENCY_WINDOW = timedelta(minutes=1)  # how long after a stop a description may still show the previous state
TORN_DOWN, EXPIRED, GONE_WHEN_LOOKED = "taken down", "its ttl expired", "no longer in AWS"
"""How an instance ended, if AWS reports no reason."""
TRANSITION = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")
"""The time in StateTransitionReason, `User initiated (2026-11-24 10:00:00 GMT)`: when it was stopped or terminated
(https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html)."""


def market_of(request: Mapping[str, Any]) -> str:
    return str(request.get("InstanceMarketOptions", {}).get("MarketType", "on-demand"))


def instances_in(response: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for reservation in response.get("Reservations", ()):
        yield from reservation["Instances"]


@dataclass(slots=True)
class Run:
    """The time between a start and a stop."""

    began: datetime
    ended: datetime | None = None
    seen: datetime | None = None


@dataclass(slots=True, kw_only=True)
class InstanceTimeline:
    """One instance, from launch to end."""

    id: str
    region: str
    experiment: str | None
    by: str  # the caller: user@host
    whose: Account | None
    type: str
    market: str
    zone: str
    began: datetime
    request: Mapping[str, Any]
    ttl: timedelta | None
    runs: list[Run]  # the times when it ran; it was stopped in between
    ended: datetime | None = None
    fate: str = ""  # how it ended, in AWS's or the lab's words; empty while it is live
    ends: str = ""  # its lab:expires-at tag, if its expiry was changed: a time, or "never"
    address: str = ""  # its public address, if it was ever seen with one
    volumes: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """By device name, the VolumeId and DeleteOnTermination of its volumes, as described."""

    def start(self, moment: datetime) -> None:
        if self.ended is None and self._run is None:
            self.runs.append(Run(moment))

    def stop(self, moment: datetime) -> None:
        if run := self._run:
            run.ended = max(moment, run.began)

    def terminate(self, moment: datetime) -> None:
        self.end(moment, TORN_DOWN)

    def end(self, moment: datetime, fate: str) -> None:
        """Note its end. The first one noted counts."""
        self.stop(moment)
        if self.ended is None:
            self.ended, self.fate = max(moment, self.began), fate

    def gone_by(self, moment: datetime) -> None:
        """Note that AWS no longer knew it at a time."""
        self.end(self._overdue(moment) or moment, GONE_WHEN_LOOKED)

    def as_of(self, now: datetime) -> InstanceTimeline:
        """Return the timeline, ended at its expiry if that has passed and it was not seen since."""
        if (over := self._overdue(now)) is None:
            return self
        return replace(self, runs=[*self.runs[:-1], Run(self.runs[-1].began, over)], ended=over, fate=EXPIRED)

    def _overdue(self, now: datetime) -> datetime | None:
        due = self.due
        if due is None or self._run is None:
            return None
        due = max(due, self._run.seen or due)
        return due if due < now else None

    @property
    def due(self) -> datetime | None:
        """When it expires, if it runs and that is known."""
        if self.ends:
            return None if self.ends == NEVER else parse_time(self.ends)
        return self._run.began + self.ttl if self._run and self.ttl else None

    @property
    def stopped(self) -> bool:
        return self.ended is None and self._run is None

    def saw(self, found: Mapping[str, Any], at: datetime) -> None:
        state = found["State"]["Name"]
        if state in UP:
            if (self.runs and at - (self.runs[-1].ended or at) > CONSISTENCY_WINDOW) or not self.runs:
                self.start(at)
            if state == InstanceState.RUNNING and self._run:
                self._run.seen = at
            return
        code, moment = state_reason_of(found).code, self._transition(found, at)
        if code and code not in RAN_THEN_ENDED_CODES and self._run and self._run.seen is None:
            self.runs.pop()  # it never ran
        moment = moment or self._overdue(at) or at
        self.stop(moment)
        if state not in DOWN:
            self.end(moment, TORN_DOWN if code == USER_SHUTDOWN else code or "ended")

    def _transition(self, found: Mapping[str, Any], at: datetime) -> datetime | None:
        """Return AWS's time of its stop or end, if that can belong to its current run."""
        matched = TRANSITION.search(str(found.get("StateTransitionReason", "")))
        moment = datetime.fromisoformat(matched[1]).replace(tzinfo=UTC) if matched else None
        return moment if moment and self.runs and self.runs[-1].began <= moment <= at else None

    @property
    def _run(self) -> Run | None:
        """The open run."""
        return self.runs[-1] if self.runs and self.runs[-1].ended is None else None


TRANSITIONS = {
    "TerminateInstances": InstanceTimeline.terminate, "StopInstances": InstanceTimeline.stop,
    "StartInstances": InstanceTimeline.start,
}  # fmt: skip


class InstanceTimelines:
    """All instances in the records.

    Creations are noted before later events, because the clocks of two writers may differ.
    """

    def __init__(self, records: Iterable[Record], requests: Mapping[str, Record], sightings: Sightings) -> None:
        self.known: dict[str, InstanceTimeline] = {}
        self._requests = requests
        self._ttl: dict[str | None, timedelta] = {}
        for record in records:
            self._note_births(record)
        for record in records:
            self._note_events(record)
        for instance in self.known.values():
            if moment := sightings.gone_by(instance.id, instance.began):
                instance.gone_by(moment)

    def _note_births(self, record: Record) -> None:
        note, at = record.annotation or {}, record.time
        if RUN in note:
            self._note_ttl(record.experiment, note[RUN].get("experiment", {}).get("ttl"))
        if record.operation == "RunInstances" and record.event is Event.RESPONSE:
            for found in (record.response or {}).get("Instances", ()):
                self._born(record, found, str(found["InstanceId"]), found.get("LaunchTime") or at)
        for discovered in note.get(DISCOVERED, ()):
            if discovered["resource_type"] == "instance":
                asked = self._requests.get(discovered["record"]) or replace(record, region=discovered["region"])
                self._born(asked, {}, str(discovered["id"]), discovered.get("since") or at)

    def _note_ttl(self, experiment: str | None, ttl: str | None) -> None:
        self._ttl.pop(experiment, None)
        if ttl:
            self._ttl[experiment] = duration(ttl)

    def _born(self, asked: Record, found: Mapping[str, Any], identity: str, began: str) -> None:
        request, since = asked.request or {}, parse_time(began)
        experiment = tags_in_request(request, "instance").get(EXPERIMENT) or asked.experiment
        self.known.setdefault(
            identity,
            InstanceTimeline(
                id=identity, region=asked.region or "", experiment=experiment, by=asked.by, whose=asked.whose,
                type=found.get("InstanceType") or request.get("InstanceType", ""),
                market=found.get("InstanceLifecycle") or market_of(request),
                zone=found.get("Placement", {}).get("AvailabilityZone", ""),
                began=since, request=request, ttl=self._ttl.get(experiment), runs=[Run(since)],
            ),
        )  # fmt: skip

    def _note_events(self, record: Record) -> None:
        for identity in (record.annotation or {}).get(DELETED, ()):
            for instance in self._named([identity]):
                instance.gone_by(parse_time(record.time))
        if record.event is not Event.RESPONSE:
            return
        request = record.request or {}
        if record.operation == "DescribeInstances":
            for found in instances_in(record.response or {}):
                self._seen(found, parse_time(record.time))
        elif act := TRANSITIONS.get(record.operation or ""):
            for instance in self._named(request.get("InstanceIds", ())):
                act(instance, parse_time(record.time))
        elif record.operation == "CreateTags" and (ends := from_aws(request.get("Tags")).get(EXPIRES_AT)):
            for instance in self._named(request.get("Resources", ())):
                instance.ends = ends

    def _named(self, ids: Iterable[str]) -> Iterator[InstanceTimeline]:
        return (self.known[identity] for identity in ids if identity in self.known)

    def _seen(self, found: Mapping[str, Any], at: datetime) -> None:
        for instance in self._named([found["InstanceId"]]):
            instance.type = instance.type or found.get("InstanceType", "")
            instance.market = found.get("InstanceLifecycle", instance.market)
            instance.zone = instance.zone or found.get("Placement", {}).get("AvailabilityZone", "")
            instance.ends = from_aws(found.get("Tags")).get(EXPIRES_AT, instance.ends)
            instance.address = instance.address or _ephemeral_ip(found)
            for mapping in found.get("BlockDeviceMappings", ()):
                if "Ebs" in mapping:
                    instance.volumes[mapping["DeviceName"]] = mapping["Ebs"]
            instance.saw(found, at)


def _ephemeral_ip(found: Mapping[str, Any]) -> str:
    """Return the public IPv4 address that came with an instance. An elastic IP is a resource of its own."""
    owners = {i["Association"].get("IpOwnerId") for i in found.get("NetworkInterfaces", ()) if "Association" in i}
    return "" if any(str(owner).isdigit() for owner in owners) else str(found.get("PublicIpAddress", ""))
