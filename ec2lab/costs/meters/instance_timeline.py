"""From records to when machines ran, with which volumes and addresses. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from ec2lab.aws.tags import EXPERIMENT, EXPIRES_AT, from_aws, tags_in_request
from ec2lab.config.fields import duration
from ec2lab.instance_state import DOWN, UP, InstanceState, state_reason_of
from ec2lab.instances.expiry import NEVER
from ec2lab.registry.evidence import token_of
from ec2lab.registry.history import instances_in, market_of, transition_time
from ec2lab.registry.launch_notes import RUN
from ec2lab.registry.record import Event, Record, parse_time
from ec2lab.registry.state import FOUND, GONE

RAN_THEN_ENDED_CODES = (
    "Client.UserInitiatedShutdown", "Client.InstanceInitiatedShutdown", "Server.SpotInstanceTermination",
             "Server.SpotInstanceShutdown")  # fmt: skip
"""StateReason codes of machines that ran before they ended; all others are of those that never came to run."""
SETTLING = timedelta(minutes=1)
"""For how long after a stop a description may still show what was before."""


@dataclass(slots=True)
class Run:
    """A time from a start to a stop."""

    began: datetime
    ended: datetime | None = None
    seen: datetime | None = None
    """When it was last seen running."""


@dataclass(slots=True)
class InstanceTimeline:
    """One machine, from its launch to its end."""

    id: str
    region: str
    experiment: str | None
    by: str
    type: str
    market: str
    zone: str
    made: datetime
    request: Mapping[str, Any]
    """That of RunInstances."""
    ttl: timedelta | None
    runs: list[Run]
    ended: datetime | None = None
    ends: str = ""
    """Its lab:ends tag, where its end was set anew: a moment, or "never"."""
    address: str = ""
    """A public address that came with it, if it was ever seen with one."""
    volumes: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """By device name, what descriptions of the machine tell: VolumeId, DeleteOnTermination."""

    def start(self, moment: datetime) -> None:
        """Begin another run, where it does not run."""
        if self.ended is None and self._run is None:
            self.runs.append(Run(moment))

    def stop(self, moment: datetime) -> None:
        """End its run, where it runs."""
        if run := self._run:
            run.ended = max(moment, run.began)

    def end(self, moment: datetime) -> None:
        """Note its end; the first that is heard of is the true one."""
        self.stop(moment)
        self.ended = self.ended or max(moment, self.made)

    def overdue(self, now: datetime) -> datetime | None:
        """Return when it must have ended by itself, where it has a ttl, that is over, and nobody has seen it since."""
        due = self.due
        if due is None or self._run is None:
            return None
        due = max(due, self._run.seen or due)
        return due if due < now else None

    @property
    def due(self) -> datetime | None:
        """When it ends by itself, as far as it runs and that is known."""
        if self.ends:
            return None if self.ends == NEVER else parse_time(self.ends)
        return self._run.began + self.ttl if self._run and self.ttl else None

    def saw(self, state: str, at: datetime, *, failed: bool, when: datetime | None) -> None:
        """Note the state that a description tells; `failed` is a machine that never came to run."""
        if state in UP:
            if (self.runs and at - (self.runs[-1].ended or at) > SETTLING) or not self.runs:
                self.start(at)
            if state == InstanceState.RUNNING and self._run:
                self._run.seen = at
            return
        if failed and self._run and self._run.seen is None:
            self.runs.pop()
        moment = when or self.overdue(at) or at
        self.stop(moment)
        if state not in DOWN:
            self.end(moment)

    @property
    def _run(self) -> Run | None:
        """The run that has not ended."""
        return self.runs[-1] if self.runs and self.runs[-1].ended is None else None


TRANSITIONS = {
    "TerminateInstances": InstanceTimeline.end, "StopInstances": InstanceTimeline.stop,
    "StartInstances": InstanceTimeline.start,
}  # fmt: skip


class InstanceTimelines:
    """All machines that records tell of."""

    def __init__(self) -> None:
        self.known: dict[str, InstanceTimeline] = {}
        self.requests: dict[str, Record] = {}
        """The intents of RunInstances, by their token."""
        self._ttl: dict[str | None, timedelta] = {}

    def hear(self, record: Record) -> None:
        """Take a record in."""
        if record.event is Event.NOTE:
            self._hear_note(record)
        elif record.operation == "RunInstances" and record.event is Event.INTENT:
            self.requests[token_of(record)] = record
        elif record.event is Event.ANSWER:
            self._hear_answer(record)

    def _hear_answer(self, record: Record) -> None:
        request, response, at = record.request or {}, record.response or {}, parse_time(record.time)
        if record.operation == "RunInstances":
            for found in response.get("Instances", ()):
                began = parse_time(found["LaunchTime"]) if found.get("LaunchTime") else at
                self._born(record, found, str(found["InstanceId"]), began)
        elif record.operation == "DescribeInstances":
            for found in instances_in(response):
                self._seen(found, at)
        elif act := TRANSITIONS.get(record.operation or ""):
            for machine in self._named(request.get("InstanceIds", ())):
                act(machine, at)
        elif record.operation == "CreateTags" and (ends := from_aws(request.get("Tags")).get(EXPIRES_AT)):
            for machine in self._named(request.get("Resources", ())):
                machine.ends = ends

    def _named(self, ids: Iterable[str]) -> Iterator[InstanceTimeline]:
        return (self.known[identity] for identity in ids if identity in self.known)

    def _hear_note(self, record: Record) -> None:
        note = record.note or {}
        if RUN in note:
            self._note_ttl(record.experiment, note[RUN].get("experiment", {}).get("ttl"))
        for told in note.get(FOUND, ()):
            if told["kind"] == "instance":
                asked = self.requests.get(told["record"]) or replace(record, region=told["region"])
                self._born(asked, {}, str(told["id"]), parse_time(told.get("since") or record.time))
        for identity in note.get(GONE, ()):
            if machine := self.known.get(identity):
                moment = parse_time(record.time)
                machine.end(machine.overdue(moment) or moment)

    def _note_ttl(self, experiment: str | None, ttl: str | None) -> None:
        self._ttl.pop(experiment, None)
        if ttl:
            self._ttl[experiment] = duration(ttl)

    def _born(self, asked: Record, found: Mapping[str, Any], identity: str, began: datetime) -> None:
        request = asked.request or {}
        experiment = tags_in_request(request, "instance").get(EXPERIMENT) or asked.experiment
        self.known.setdefault(
            identity,
            InstanceTimeline(
                id=identity, region=asked.region or "", experiment=experiment, by=asked.by,
                type=found.get("InstanceType") or request.get("InstanceType", ""),
                market=found.get("InstanceLifecycle") or market_of(request),
                zone=found.get("Placement", {}).get("AvailabilityZone", ""),
                made=began, request=request, ttl=self._ttl.get(experiment), runs=[Run(began)],
            ),
        )  # fmt: skip

    def _seen(self, found: Mapping[str, Any], at: datetime) -> None:
        machine = self.known.get(found["InstanceId"])
        if machine is None:
            return
        machine.type = machine.type or found.get("InstanceType", "")
        machine.market = found.get("InstanceLifecycle", machine.market)
        machine.zone = machine.zone or found.get("Placement", {}).get("AvailabilityZone", "")
        machine.ends = from_aws(found.get("Tags")).get(EXPIRES_AT, machine.ends)
        machine.address = machine.address or ephemeral_ip(found)
        for mapping in found.get("BlockDeviceMappings", ()):
            if "Ebs" in mapping:
                machine.volumes[mapping["DeviceName"]] = mapping["Ebs"]
        state, when = str(found["State"]["Name"]), _transition(found, machine, at)
        machine.saw(state, at, failed=_failed(found), when=when)


def ephemeral_ip(found: Mapping[str, Any]) -> str:
    """Return the public IPv4 address that came with a machine; an elastic one is a thing of its own."""
    owners = {i["Association"].get("IpOwnerId") for i in found.get("NetworkInterfaces", ()) if "Association" in i}
    return "" if any(str(owner).isdigit() for owner in owners) else str(found.get("PublicIpAddress", ""))


def _failed(found: Mapping[str, Any]) -> bool:
    """Say whether a machine that does not run never came to run, by its reason."""
    code = state_reason_of(found).code
    return bool(code) and code not in RAN_THEN_ENDED_CODES


def _transition(found: Mapping[str, Any], machine: InstanceTimeline, at: datetime) -> datetime | None:
    """Return when AWS says that it stopped or ended, where that can be of its present run."""
    moment = transition_time(found)
    return moment if moment and machine.runs and machine.runs[-1].began <= moment <= at else None
