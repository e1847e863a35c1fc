"""What volumes cost: those that were made by themselves, and those that came with machines. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ec2lab.aws.tags import EXPERIMENT, tags_in_request
from ec2lab.costs.charges import Span
from ec2lab.costs.meter import Meter
from ec2lab.costs.meters.volume_descriptions import FullListings, VolumeDescriptions
from ec2lab.costs.price_book import IO2_TIER1_IOPS, PriceBook
from ec2lab.costs.rates import HourlyRate, Monthly, unlisted
from ec2lab.registry.evidence import token_of
from ec2lab.registry.history import History
from ec2lab.registry.instance_timeline import InstanceTimeline
from ec2lab.registry.record import Event, Record, parse_time
from ec2lab.registry.state import FOUND, GONE


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeTimeline:
    """One volume."""

    id: str
    region: str
    experiment: str | None
    by: str
    asked: Mapping[str, Any]
    """What was asked for, in the words of CreateVolume and of a mapping's Ebs."""
    began: datetime
    ended: datetime | None
    machine: str = ""
    """The machine that it came with, the image of that, and the device, where it came with one."""
    image: str = ""
    device: str = ""
    due: datetime | None = None


class VolumeMeter(Meter):
    """Volumes cost by the second and 60 seconds at the least, attached or not (https://aws.amazon.com/ebs/pricing/).

    What a request leaves open is taken from a description of the volume, its snapshot or its image, whenever that came;
    without any it is unknown. A volume that was kept costs until it is deleted, or until a whole listing of its region
    shows it no more.
    """

    def __init__(self) -> None:
        self.facts = VolumeDescriptions()
        self.listings = FullListings()
        self._asked: dict[str, Record] = {}
        """What CreateVolume was asked, by its token: the answer may be lost."""
        self._made: dict[str, Record] = {}
        self._ended: dict[str, datetime] = {}

    def _add(self, record: Record, history: History) -> None:
        if record.event is Event.NOTE:
            self._add_note(record, history)
        elif record.operation == "CreateVolume" and record.event is Event.INTENT:
            self._asked[token_of(record)] = record
        elif record.event is Event.ANSWER:
            self.facts.hear(record)
            self.listings.hear(record)
            if record.operation == "CreateVolume":
                self._made[(record.response or {})["VolumeId"]] = record
            elif record.operation == "DeleteVolume" and (identity := (record.request or {}).get("VolumeId")):
                self._ended.setdefault(identity, parse_time(record.time))

    def _add_note(self, record: Record, history: History) -> None:
        note = record.note or {}
        for identity in note.get(GONE, ()):
            self._ended.setdefault(identity, parse_time(record.time))
        for told in note.get(FOUND, ()):
            if told["kind"] == "volume" and told["record"] not in history.requests:
                asked = self._asked.get(told["record"]) or replace(record, region=told["region"])
                self._made.setdefault(told["id"], replace(asked, time=told.get("since") or asked.time))

    def spans(self, history: History, book: PriceBook, now: datetime) -> Iterator[Span]:
        """Yield a span for each volume, and what was paid for its initialization."""
        for record in history.records:
            self._add(record, history)
        for one in self._lives(history, now):
            made_of = self.facts.made_of(one.id, one.asked, one.image, one.device)
            yield Span(
                kind="volume", id=one.id, region=one.region, experiment=one.experiment, by=one.by, of=one.machine,
                what=_in_words(made_of), rate=_rate(made_of, one.region, book),
                vague=not _is_told(made_of), due=one.due, began=one.began, ended=one.ended,
            )  # fmt: skip
            if rate := one.asked.get("VolumeInitializationRate"):
                yield Span(
                    kind="volume", id=one.id, region=one.region, experiment=one.experiment, by=one.by, of=one.machine,
                    what=f"initialization at {rate} MiB/s", began=one.began, ended=one.began, least=timedelta(),
                    rate=HourlyRate(0.0, "the price of a GiB, or how many the snapshot's blocks are, is not known"),
                    once=book.initialization(one.region, self.facts.stored(made_of["SnapshotId"])),
                )  # fmt: skip

    def _lives(self, history: History, now: datetime) -> Iterator[VolumeTimeline]:
        for identity, record in self._made.items():
            request, response = record.request or {}, record.response or {}
            yield VolumeTimeline(
                id=identity, region=record.region or "", by=record.by, asked={**request, **response},
                experiment=tags_in_request(request, "volume").get(EXPERIMENT) or record.experiment,
                began=parse_time(response.get("CreateTime") or record.time), ended=self._end(identity),
            )  # fmt: skip
        for machine in (instance.as_of(now) for instance in history.instances.values()):
            if machine.runs or not machine.ended:  # else it never came to run, and its volumes went with it
                yield from self._root_and_data_volumes(machine)

    def _end(self, identity: str) -> datetime | None:
        return self._ended.get(identity) or self.listings.unlisted.get(identity)

    def _root_and_data_volumes(self, machine: InstanceTimeline) -> Iterator[VolumeTimeline]:
        asked = {m["DeviceName"]: m["Ebs"] for m in machine.request.get("BlockDeviceMappings", ()) if "Ebs" in m}
        attached = {d: e for d, e in machine.volumes.items() if e.get("VolumeId") not in self._made}
        for device in {**asked, **attached}:
            told = {**attached.get(device, {}), **asked.get(device, {})}
            identity = attached.get(device, {}).get("VolumeId") or f"{machine.id}{device}"
            goes_with_it = told.get("DeleteOnTermination", True)
            ends = [self._end(identity), machine.ended if goes_with_it else None]
            yield VolumeTimeline(
                id=identity, region=machine.region, experiment=machine.experiment, by=machine.by, asked=told,
                began=machine.began, ended=min(filter(None, ends), default=None), machine=machine.id,
                image=str(machine.request.get("ImageId", "")), device=device, due=machine.due if goes_with_it else None,
            )  # fmt: skip


def _is_told(made_of: Mapping[str, Any]) -> bool:
    return bool(made_of.get("Size") and made_of.get("VolumeType"))


def _rate(made_of: Mapping[str, Any], region: str, book: PriceBook) -> Monthly:
    if not _is_told(made_of):
        return Monthly(None, "its size or type is not on record; `make status` asks AWS")
    kind, why = made_of["VolumeType"], f"iops of io2 beyond {IO2_TIER1_IOPS:,} cost less each, which is not looked up"
    is_beyond = kind == "io2" and (made_of.get("Iops") or 0) > IO2_TIER1_IOPS
    return Monthly(book.volume(region, made_of), why if is_beyond else unlisted(f"{kind} volumes", region))


def _in_words(made_of: Mapping[str, Any]) -> str:
    parts = [f"{made_of.get('Size') or '?'} GiB {made_of.get('VolumeType') or 'of unknown type'}"]
    if made_of.get("Iops"):
        parts.append(f"{made_of['Iops']} iops")
    if made_of.get("Throughput"):
        parts.append(f"{made_of['Throughput']} MiB/s")
    return ", ".join(parts)
