"""A meter reads the history, and says for which times what has to be paid. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ec2lab.aws.tags import EXPERIMENT, tags_in_request
from ec2lab.costs.charges import CostPeriod
from ec2lab.costs.money import times
from ec2lab.costs.price_book import HOURS
from ec2lab.costs.rates import HourlyRate, unlisted
from ec2lab.registry.record import Event, Record, parse_time
from ec2lab.registry.state import DELETED, DISCOVERED

if TYPE_CHECKING:
    from ec2lab.costs.price_book import PriceBook
    from ec2lab.registry.history import History
    from ec2lab.resource import ResourceType


class Meter(ABC):
    """What one kind of thing cost."""

    @abstractmethod
    def spans(self, history: History, book: PriceBook, now: datetime) -> Iterator[CostPeriod]:
        """Yield every time in which something cost."""


@dataclass(slots=True)
class Life:
    """One thing from its making to its end."""

    id: str
    region: str
    experiment: str | None
    by: str
    began: datetime
    found: Mapping[str, Any] | None
    """AWS's description of it; None where only its id is known."""
    ended: datetime | None = None

    def end(self, moment: datetime) -> None:
        """Note its end; the first that is heard of is the true one."""
        self.ended = self.ended or max(moment, self.began)


class KindMeter(Meter):
    """What things of a kind cost by the kind's own `monthly`, from their making to their end.

    A plugin's kind is metered so, unless it has a meter of its own.
    """

    def __init__(self, kind: ResourceType) -> None:
        self.kind = kind
        self.lives: dict[str, Life] = {}

    def _add(self, record: Record) -> None:
        if record.event is Event.RESPONSE and record.operation in self.kind.created_by and record.response:
            for found in self.kind.created_in(record.response):
                self._begin(life(self.kind, record, found))
        for told in (record.annotation or {}).get(DISCOVERED, ()):
            if told["kind"] == self.kind.name:
                began = parse_time(told.get("since") or record.time)
                region, by = str(told["region"]), record.by
                self._begin(Life(str(told["id"]), region, told.get("experiment", record.experiment), by, began, None))
        for identity in (*self.kind.ended_by(record), *(record.annotation or {}).get(DELETED, ())):
            if identity in self.lives:
                self.lives[identity].end(parse_time(record.time))

    def _read(self, history: History) -> None:
        for record in history.records:
            self._add(record)
        for one in self.lives.values():
            if gone := history.looks.gone_by(one.id, one.began):
                one.end(gone)

    def _begin(self, begun: Life) -> None:
        if begun.id not in self.lives or self.lives[begun.id].ended:
            self.lives[begun.id] = begun

    def spans(self, history: History, book: PriceBook, now: datetime) -> Iterator[CostPeriod]:
        """Yield a span for each thing that its kind says costs something, or of which it is not known."""
        del now
        self._read(history)
        if type(self.kind).monthly is _free():
            return
        for one in self.lives.values():
            monthly = self.kind.monthly(one.found, one.region, book) if one.found is not None else None
            why = "what it is is not on record" if one.found is None else unlisted(self.kind.name, one.region)
            if monthly == 0.0:
                continue
            yield CostPeriod(
                kind=self.kind.name, id=one.id, region=one.region, experiment=one.experiment, by=one.by,
                what=self.kind.name, rate=HourlyRate(times(monthly, 1 / HOURS), why), began=one.began,
                ended=one.ended,
            )  # fmt: skip


def _free() -> object:
    from ec2lab.resource import ResourceType

    return ResourceType.monthly


def life(kind: ResourceType, record: Record, found: Mapping[str, Any]) -> Life:
    """Return the beginning of what an answer says was made."""
    experiment = tags_in_request(record.request or {}, kind.tag_type).get(EXPERIMENT)
    began = parse_time(kind.since_in(found) or record.time)
    return Life(kind.id_in(found), record.region or "", experiment, record.by, began, found)
